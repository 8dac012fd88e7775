/**
 * The tests in the virtual machine where cgroup v2 is the only hierarchy: pods of each engine, frozen, killed and
 * limited through their cgroups.
 */
import { describe, test } from "bun:test";
import { exists, readFile, writeFile } from "node:fs/promises";
import { until } from "../../../scripts/linux/proc.ts";
import { Containerd } from "../containerd.ts";
import type { Generation } from "../generations.ts";
import type { Host } from "../host.ts";
import { OciRuntime } from "../oci.ts";
import { asleep, bothSides, compare, type Images, type Sides, testPods, UNPRIVILEGED } from "../pods/pod.ts";
import { testStrict } from "../pods/strict.ts";
import { record } from "../results.ts";

const ORPHANS = 10;

/** The time that a frozen process is given to misbehave, in milliseconds. */
const A_WHILE = 500;

const GUEST: Generation = { name: "cgroup v2", takes: () => [], root: () => Promise.resolve(undefined) };

/** The image that lies in the machine under `name`. */
const imageIn = (name: keyof Images) => () => Bun.file(`/test/${name}.json`).json();
const IMAGES: Images = { pause: imageIn("pause"), reference: imageIn("reference"), busybox: imageIn("busybox") };

/** The folder of the cgroup that a process is in. Throws if the machine has another hierarchy. */
async function cgroupOf(host: Host, pid: number): Promise<string> {
  const text = await readFile(host.proc(pid, "cgroup"), "utf8");
  const [, path] = text.match(/^0::(\/.*)\n$/) ?? [];
  if (path === undefined) throw new Error(`not cgroup v2 alone: ${text}`);
  return `/sys/fs/cgroup${path}`;
}

/** Freezes or thaws a cgroup and waits until the kernel says so. */
async function freeze(cgroup: string, frozen: 0 | 1): Promise<void> {
  await writeFile(`${cgroup}/cgroup.freeze`, `${frozen}`);
  const said = async () => (await readFile(`${cgroup}/cgroup.events`, "utf8")).includes(`frozen ${frozen}\n`);
  await until(`frozen ${frozen}`, said);
}

/** The memory that a cgroup is charged, by kind, in KiB. */
async function charged(cgroup: string): Promise<Readonly<Record<string, number>>> {
  const lines = (await readFile(`${cgroup}/memory.stat`, "utf8")).split("\n").map((line) => line.split(" "));
  const stat = lines.filter(([key = ""]) => ["anon", "file", "kernel"].includes(key));
  return Object.fromEntries(stat.map(([key, bytes]) => [key, Number(bytes) / 1024]));
}

/** Tests what only cgroup v2 has. */
function testCgroup(name: string, sides: () => Sides): void {
  test("frozen, it does nothing; thawed, it reaps what died meanwhile, and exits with 0 if it was told to end", () =>
    compare(sides(), { alone: true, left: [], heeded: false, status: 0 }, async (engine) => {
      const { host } = engine;
      const pod = await engine.startPod("frozen", { sharedPid: true });
      await asleep(host, pod.pause);
      const cgroup = await cgroupOf(host, pod.pause);
      await record(`cgroup v2, ${name}, ${engine === sides().ours ? "ours" : "reference"}, KiB`, await charged(cgroup));
      const alone = /^\d+\n$/.test(await readFile(`${cgroup}/cgroup.procs`, "utf8"));
      await freeze(cgroup, 1);
      // As another container of the pod would: in the PID namespace of pause, but not in its cgroup.
      const orphans = `for n in $(seq ${ORPHANS}); do (true &); done`;
      await host.output(["nsenter", `--target=${pod.pause}`, "--pid", "--", "sh", "-c", orphans]);
      await Bun.sleep(A_WHILE);
      await freeze(cgroup, 0);
      await until("they are reaped", () => host.childrenOf(pod.pause).length === 0).catch(() => {});
      const left = host.childrenOf(pod.pause);
      await freeze(cgroup, 1);
      await host.kill(pod.pause, "TERM");
      await Bun.sleep(A_WHILE);
      const heeded = !host.exists(pod.pause);
      await freeze(cgroup, 0).catch(() => {});
      const status = await pod.exitStatus();
      await pod.remove();
      return { alone, left, heeded, status };
    }));

  test("cgroup.kill ends it with 137, and the cgroup goes with the pod", () =>
    compare(sides(), { status: 128 + 9, cgroup: false }, async (engine) => {
      const pod = await engine.startPod("killed", { sharedPid: true });
      const cgroup = await cgroupOf(engine.host, pod.pause);
      await writeFile(`${cgroup}/cgroup.kill`, "1");
      const status = await pod.exitStatus();
      // As a kubelet does, again and again: containerd may find that its shim has just ended with pause.
      const removed = () =>
        pod.remove().then(
          () => true,
          () => false,
        );
      await until("the pod is removed", removed);
      return { status, cgroup: await exists(cgroup) };
    }));
}

for (const name of ["runc", "crun"] as const) {
  describe(name, () => {
    const sides = bothSides(GUEST, OciRuntime.with(name), IMAGES);
    // Emulated, every pod takes long: runc's are those of containerd.
    if (name === "crun") testPods(sides, UNPRIVILEGED);
    testCgroup(name, sides);
    // runc itself, which runs from a copy in memory there, needs more than 8 MiB.
    testStrict(`cgroup v2, ${name}`, sides, { memory: name === "runc" ? [16] : [16, 8], seconds: 60 });
  });
}

describe("containerd", () => {
  const sides = bothSides(GUEST, Containerd.start, IMAGES);
  testPods(sides, UNPRIVILEGED);
  testCgroup("containerd", sides);
});
