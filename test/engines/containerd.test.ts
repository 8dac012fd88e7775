/** Pods on containerd, over the socket that a kubelet would use. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Containerd, startContainerd } from "./containerd.ts";
import { Host, until } from "./host.ts";
import { busyboxImage, pauseImage } from "./images.ts";
import { describeEngine, PATIENCE } from "./requirements.ts";

describeEngine("containerd", ["containerd", "ctr", "runc"], () => {
  let containerd: Containerd;
  beforeAll(async () => {
    const host = await Host.start();
    containerd = await startContainerd(await pauseImage(host.folder), [await busyboxImage(host.folder)], host);
  }, PATIENCE);
  afterAll(() => containerd?.[Symbol.asyncDispose](), PATIENCE);

  test(
    "a sandbox starts, sleeps as PID 1 of its pod without privileges, stops and goes",
    async () => {
      const { cri, host } = containerd;
      const config = {
        metadata: { name: "first", uid: "first", namespace: "default" },
        hostname: "first",
        linux: {
          cgroupParent: host.cgroup,
          securityContext: {
            namespaceOptions: { network: "POD", pid: "POD", ipc: "POD" },
            seccomp: { profileType: "RuntimeDefault" },
          },
        },
      } as const;
      const sandbox = await cri.call("RunPodSandbox", { config });
      const { status, info } = await cri.call("PodSandboxStatus", { id: sandbox.podSandboxId, verbose: true });
      expect(status.state).toBe("SANDBOX_READY");
      const { pid } = JSON.parse(info["info"] ?? "") as { pid: number };
      const facts = await until("pause sleeps", async () => {
        const now = await host.status(pid);
        return now["SigCgt"] === "0000000000014002" && now["State"] === "S (sleeping)" && now;
      });
      expect(facts).toMatchObject({
        NSpid: `${pid}\t1`,
        Uid: "65535\t65535\t65535\t65535",
        Gid: "65535\t65535\t65535\t65535",
        CapEff: "0000000000000000",
        NoNewPrivs: "1",
        Seccomp: "2",
        Threads: "1",
        SigBlk: "0000000000000000",
        SigIgn: "0000000000000000",
      });
      await cri.call("StopPodSandbox", sandbox);
      expect(await host.exists(pid)).toBe(false);
      await cri.call("RemovePodSandbox", sandbox);
      expect((await cri.call("ListPodSandbox", {})).items).toEqual([]);
    },
    PATIENCE,
  );
});
