/** Pods of a kubelet whose flag `--pod-infra-container-image` chooses the image, as the flag was meant to. */
import { beforeAll, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../../scripts/linux/proc.ts";
import { Docker } from "../docker.ts";
import { MACHINE } from "../generations.ts";
import { CNI_PLUGINS, modestRuntime, podNetwork } from "../node.ts";
import { atRest, bothSides, compare, UNPRIVILEGED } from "../pods/pod.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { KUBELET_PATIENCE, kubelet } from "./build.ts";
import { Kubelet, POD } from "./kubelet.ts";

type Node = Kubelet<Docker>;

/**
 * Waits until the pod has an infra container other than `old`, with its container in that PID namespace. Returns its name
 * in hexadecimal and the PID of pause on the host.
 */
function ready({ engine }: Node, old?: string): Promise<{ readonly id: string; readonly pid: number }> {
  const running = (container: string) =>
    engine.output("ps", "--no-trunc", "--quiet", "--filter", `name=^/k8s_${container}_${POD}-`);
  // It may have gone meanwhile.
  const inspect = (id: string, field: string) => engine.inspect(id, field).catch(() => undefined);
  const found = async () => {
    const [id, member] = [await running("POD"), await running("main")];
    if (id === "" || id === old || (await inspect(member, ".HostConfig.PidMode")) !== `container:${id}`) return false;
    const pid = Number(await inspect(id, ".State.Pid"));
    return pid > 0 && { id, pid };
  };
  return until("the pod runs", found, 120);
}

/** Traces of the pod: containers (dead ones too), the kubelet's folders, cgroups, and network devices. */
async function left({ engine, host }: Node) {
  const lines = (text: string) => text.split("\n").filter((line) => line !== "");
  const groups = ["find", "/sys/fs/cgroup", "-type", "d", "-path", `*${host.cgroup}/kubepods/*/pod*`];
  return {
    containers: lines(await engine.output("ps", "--all", "--format", "{{.Names}}")),
    folders: await readdir(join(host.folder, "kubelet", "pods")),
    cgroups: lines((await host.run(groups)).stdout),
    devices: lines(await host.output(["ip", "-o", "link", "show", "type", "veth"])),
  };
}

describeEngine("kubelet with dockershim", ["dockerd", "docker", "runc", "apt-get", "dpkg-source"], () => {
  // Before both sides start, which have less time.
  beforeAll(async () => void (await kubelet()), KUBELET_PATIENCE);
  const sides = bothSides(MACHINE, async (host, pause, busybox) => {
    const { folder } = host;
    const runtimes = { node: { path: await modestRuntime(folder, "runc") } };
    const docker = await Docker.start(host, pause, busybox, { runtimes, "default-runtime": "node" });
    const node = await Kubelet.on(docker, await kubelet());
    await node.start([
      ...["--container-runtime=docker", `--docker-endpoint=unix://${folder}/docker.sock`],
      `--pod-infra-container-image=${pause.reference}`,
      ...["--network-plugin=cni", `--cni-conf-dir=${await podNetwork(folder)}`, `--cni-bin-dir=${CNI_PLUGINS}`],
      `--cni-cache-dir=${folder}/cni-cache`,
    ]);
    await node.add();
    return node;
  });

  test(
    "docker ps lists k8s_POD, the flag's image and /pause, an unprivileged PID 1 of the shared namespace",
    () => {
      const { NoNewPrivs: _, ...privileges } = UNPRIVILEGED;
      const rest = { pid: "1", Threads: "1", executable: "/pause", ...privileges };
      const must = { image: true, command: '"/pause"', name: "k8s_POD_calm-node1_default", rest };
      return compare(sides(), must, async (node) => {
        const { id, pid } = await ready(node);
        const format = ["--format", "{{.Image}} {{.Command}} {{.Names}}"];
        const listed = await node.engine.output("ps", ...format, "--filter", `id=${id}`);
        const [image, command, name = ""] = listed.split(" ");
        return {
          image: image === node.engine.pause,
          command,
          name: name.split("_").slice(0, 4).join("_"),
          rest: await atRest(node.host, pid),
        };
      });
    },
    PATIENCE,
  );

  test(
    "the infra container is killed: the pod is recreated",
    () =>
      compare(sides(), { pid: "1", Threads: "1", executable: "/pause" }, async (node) => {
        const { id, pid } = await ready(node);
        await node.host.kill(pid, "KILL");
        return atRest(node.host, (await ready(node, id)).pid);
      }),
    2 * PATIENCE,
  );

  test(
    "the engine stops the infra container: it exits with 0 and says why, and the pod is recreated",
    () => {
      const must = { status: "0", said: "Shutting down, got signal: Terminated", again: { pid: "1", Threads: "1" } };
      return compare(sides(), must, async (node) => {
        const { id } = await ready(node);
        // Both start before its end, because the kubelet may remove a dead container.
        const status = node.engine.output("wait", id);
        const said = node.engine.run("logs", "--follow", id);
        await node.engine.output("stop", id);
        const again = await atRest(node.host, (await ready(node, id)).pid);
        return { status: await status, said: (await said).stderr.trimEnd(), again };
      });
    },
    2 * PATIENCE,
  );

  test(
    "the pod is removed: no container, folder, cgroup or network device is left",
    () =>
      compare(sides(), { containers: [], folders: [], cgroups: [], devices: [] }, async (node) => {
        await node.remove();
        // The kubelet removes dead containers once a minute.
        const nothing = async () => Object.values(await left(node)).flat().length === 0;
        await until("nothing is left", nothing, PATIENCE / 1000).catch(() => undefined);
        return left(node);
      }),
    4 * PATIENCE,
  );
});
