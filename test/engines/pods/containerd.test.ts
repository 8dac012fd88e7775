/** Pods on containerd, over the socket that a kubelet would use. */
import { expect, test } from "bun:test";
import { median } from "simple-statistics";
import { THREE_HANDLERS } from "../../../scripts/linux/proc.ts";
import { Containerd } from "../containerd.ts";
import { type Namespaces, POD } from "../cri-engine.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { asleep, atRest, bothSides, compare, testPods, UNPRIVILEGED } from "./pod.ts";

/** Pods that start at once, and single starts that are measured. */
const MANY = 60;
const ROUNDS = 20;

/** Every way to choose namespaces. */
const MODES = (["POD", "CONTAINER", "NODE"] as const).flatMap((pid, _, modes) =>
  modes.flatMap((network) => modes.map((ipc): Namespaces => ({ pid, network, ipc }))),
);

/** Starts MANY pods at once, expects all to rest, removes them, and returns what they took. */
async function crowd(containerd: Containerd): Promise<Readonly<Record<string, number>>> {
  const { host } = containerd;
  const before = await containerd.taken();
  const start = performance.now();
  const names = Array.from({ length: MANY }, (_, index) => `many-${index}`);
  const ids = await Promise.all(names.map((name) => containerd.runSandbox(name, POD)));
  const sandboxes = await Promise.all(ids.map((id) => containerd.sandbox(id)));
  await Promise.all(sandboxes.map(({ pid }) => asleep(host, pid)));
  const readySeconds = (performance.now() - start) / 1000;
  const after = await containerd.taken();
  for (const { pid, state } of sandboxes)
    expect({ ...(await atRest(host, pid)), state }).toMatchObject({ pid: "1", Threads: "1", state: "SANDBOX_READY" });
  expect(new Set(sandboxes.map(({ ip }) => ip)).size).toBe(MANY);
  await Promise.all(ids.map((id) => containerd.removeSandbox(id)));
  expect((await containerd.cri.call("ListPodSandbox", {})).items).toEqual([]);
  return {
    readySeconds,
    processorSeconds: after.processorSeconds - before.processorSeconds,
    memoryMiB: after.memoryMiB - before.memoryMiB,
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

  test.each(MODES)(
    "a sandbox with these namespaces: %j",
    (namespaces) => {
      const { pid: owner, network, ipc } = namespaces;
      // A pod with the node's network has the node's hostname too.
      const shared = { ipc: ipc === "NODE", net: network === "NODE", pid: owner === "NODE", uts: network === "NODE" };
      const ownNamespaces = ["mnt", ...Object.entries(shared).flatMap(([kind, is]) => (is ? [] : [kind]))].sort();
      const rest = { Threads: "1", SigCgt: THREE_HANDLERS, ownNamespaces };
      // With the node's PID namespace pause is not PID 1: it warns and runs.
      const must = { ready: true, first: owner !== "NODE", rest, address: network !== "NODE", gone: true };
      return compare(sides(), must, async (containerd) => {
        const id = await containerd.runSandbox("modes", namespaces);
        const sandbox = await containerd.sandbox(id);
        const { pid, ...rest } = await atRest(containerd.host, sandbox.pid);
        await containerd.removeSandbox(id);
        return {
          ready: sandbox.state === "SANDBOX_READY",
          first: pid === "1",
          rest,
          address: sandbox.ip !== "",
          gone: !containerd.host.exists(sandbox.pid),
        };
      });
    },
    PATIENCE,
  );

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
      const taken: Record<string, unknown[]> = { ours: [], reference: [] };
      // Each side goes first once, so that other load on the machine hits both.
      for (const side of ["ours", "reference", "reference", "ours"] as const) {
        taken[side]?.push(await crowd(sides()[side]));
      }
      await record(`containerd of ${generation.name}, ${MANY} pods at once, twice`, taken);
    },
    2 * PATIENCE,
  );

  test(
    `RunPodSandbox ${ROUNDS} times on each side, in turn: how long it takes is recorded`,
    async () => {
      const times = { ours: [] as number[], reference: [] as number[] };
      for (let round = 0; round < ROUNDS; round++) {
        // Each side is first half the time, so that other load on the machine hits both.
        const order = ["ours", "reference"] as const;
        for (const side of round % 2 ? order : order.toReversed())
          times[side].push(await timeOfStart(sides()[side], `round-${round}`));
      }
      const [ours, reference] = [median(times.ours), median(times.reference)];
      const name = `containerd of ${generation.name}, RunPodSandbox, median of ${ROUNDS}, milliseconds`;
      await record(name, { ours, reference, ratio: ours / reference });
    },
    PATIENCE,
  );
});
