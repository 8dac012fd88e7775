/** Pods on containerd, over the socket that a kubelet would use. */
import { expect, test } from "bun:test";
import { median } from "simple-statistics";
import { THREE_HANDLERS } from "../../../scripts/linux/proc.ts";
import { Containerd } from "../containerd.ts";
import type { NamespaceMode } from "../cri.ts";
import { POD } from "../cri-engine.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { asleep, atRest, bothSides, compare, ownNamespaces, testPods, UNPRIVILEGED } from "./pod.ts";

const MODES: readonly NamespaceMode[] = ["POD", "CONTAINER", "NODE"];

/** Pods that start at once, and single starts that are measured. */
const MANY = 60;
const ROUNDS = 20;

/** Starts and removes MANY pods at once. Returns what was seen of them, and the resources they took by name. */
async function crowd(containerd: Containerd): Promise<Record<"seen" | "taken", Readonly<Record<string, number>>>> {
  const { host } = containerd;
  const before = await containerd.taken();
  const start = performance.now();
  const names = Array.from({ length: MANY }, (_, index) => `many-${index}`);
  const ids = await Promise.all(names.map((name) => containerd.runSandbox(name, POD)));
  const sandboxes = await Promise.all(ids.map((id) => containerd.sandbox(id)));
  await Promise.all(sandboxes.map(({ pid }) => asleep(host, pid)));
  const ready = performance.now();
  const after = await containerd.taken();
  const rests = await Promise.all(sandboxes.map(({ pid }) => atRest(host, pid)));
  const stop = performance.now();
  await Promise.all(ids.map((id) => containerd.removeSandbox(id)));
  return {
    seen: {
      ready: sandboxes.filter(({ state }) => state === "SANDBOX_READY").length,
      addresses: new Set(sandboxes.map(({ ip }) => ip)).size,
      atRest: rests.filter(({ pid, Threads }) => pid === "1" && Threads === "1").length,
      left: (await containerd.cri.call("ListPodSandbox", {})).items.length,
    },
    taken: {
      readySeconds: (ready - start) / 1000,
      processorSeconds: after.processorSeconds - before.processorSeconds,
      memoryMiB: after.memoryMiB - before.memoryMiB,
      removeSeconds: (performance.now() - stop) / 1000,
    },
  };
}

/** Milliseconds that RunPodSandbox takes, without the removal of the sandbox. */
async function timeOfStart(containerd: Containerd, name: string): Promise<number> {
  const start = performance.now();
  const id = await containerd.runSandbox(name, POD);
  const time = performance.now() - start;
  await containerd.removeSandbox(id);
  return time;
}

describeGenerations("containerd", ["containerd", "ctr", "runc"], (generation) => {
  const sides = bothSides(generation, Containerd.start);
  testPods(sides, UNPRIVILEGED);

  for (const pid of MODES) {
    // With the node's PID namespace pause is not PID 1: it warns and runs.
    const must = { ready: true, isFirst: pid !== "NODE", one: "1", SigCgt: THREE_HANDLERS, gone: true, left: 0 };
    for (const network of MODES) {
      for (const ipc of MODES) {
        const observe = async (containerd: Containerd) => {
          const { host, cri } = containerd;
          const id = await containerd.runSandbox("modes", { pid, network, ipc });
          const sandbox = await containerd.sandbox(id);
          const { pid: first, Threads, SigCgt } = await atRest(host, sandbox.pid);
          const own = await ownNamespaces(host, sandbox.pid);
          await containerd.removeSandbox(id);
          return {
            ready: sandbox.state === "SANDBOX_READY",
            address: sandbox.ip !== "",
            isFirst: first === "1",
            one: Threads,
            SigCgt,
            own,
            gone: !host.exists(sandbox.pid),
            left: (await cri.call("ListPodSandbox", {})).items.length,
          };
        };
        const own = [
          ...(ipc === "NODE" ? [] : ["ipc"]),
          "mnt",
          ...(network === "NODE" ? [] : ["net"]),
          ...(pid === "NODE" ? [] : ["pid"]),
          // A pod with the node's network has the node's hostname too.
          ...(network === "NODE" ? [] : ["uts"]),
        ];
        test(
          `a sandbox with the PID namespace of the ${pid}, network of the ${network}, IPC of the ${ipc}`,
          () => compare(sides(), { ...must, own, address: network !== "NODE" }, observe),
          PATIENCE,
        );
      }
    }
  }

  test(
    "the sandbox image, and no other, is pinned against a kubelet's garbage collection; containerd 1.6 pins none",
    async () => {
      for (const { cri, pins } of [sides().ours, sides().reference]) {
        const { images } = await cri.call("ListImages", {});
        const pinned = images.filter((image) => image.pinned).flatMap(({ repoTags }) => repoTags);
        expect(images.length).toBe(2);
        expect(pinned).toEqual(pins ? [expect.stringContaining("/pause-")] : []);
      }
    },
    PATIENCE,
  );

  test(
    `${MANY} pods at once, twice on each side: what they take is recorded`,
    async () => {
      const taken = {
        ours: [] as Readonly<Record<string, number>>[],
        reference: [] as Readonly<Record<string, number>>[],
      };
      // Each side goes first once, so that other load on the machine hits both.
      for (const side of ["ours", "reference", "reference", "ours"] as const) {
        const pods = await crowd(sides()[side]);
        expect(pods.seen).toEqual({ ready: MANY, addresses: MANY, atRest: MANY, left: 0 });
        taken[side].push(pods.taken);
      }
      await record(`containerd of ${generation.name}, ${MANY} pods at once, twice`, taken);
    },
    2 * PATIENCE,
  );

  test(
    `RunPodSandbox ${ROUNDS} times on each side, in turn: how long it takes is recorded`,
    async () => {
      const { ours, reference } = sides();
      const times = { ours: [] as number[], reference: [] as number[] };
      for (let round = 0; round < ROUNDS; round++) {
        // In turn, each side first half the time, so that other load on the machine hits both.
        const order = [["ours", ours] as const, ["reference", reference] as const];
        for (const [side, containerd] of round % 2 ? order : order.reverse()) {
          times[side].push(await timeOfStart(containerd, `round-${round}`));
        }
      }
      const result = { ours: median(times.ours), reference: median(times.reference) };
      const ratio = result.ours / result.reference;
      const name = `containerd of ${generation.name}, RunPodSandbox, median of ${ROUNDS}, milliseconds`;
      await record(name, { ...result, ratio });
      expect([times.ours.length, times.reference.length]).toEqual([ROUNDS, ROUNDS]);
    },
    PATIENCE,
  );
});
