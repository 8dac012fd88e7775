/** The program of the virtual machine with cgroup v2: starts pause on each engine and prints what it observes, one line per case. */
import { exists, readFile, writeFile } from "node:fs/promises";
import { showsReady, until } from "../../../scripts/linux/proc.ts";
import { Containerd } from "../containerd.ts";
import type { Engine, Pod, StartEngine } from "../engine.ts";
import { Host } from "../host.ts";
import type { Image } from "../images.ts";
import { OciRuntime } from "../oci.ts";
import {
  CASES,
  type Case,
  ENGINES,
  type EngineName,
  FROZEN_ORPHANS,
  keyOf,
  LIMIT,
  type Observation,
  SIDES,
  SMALLER,
  STORM,
  takes,
} from "./cases.ts";

/** Path of the list of images in the machine's root: an `Images`. */
const IMAGES = "/test/images.json";

/** The images by role. */
interface Images {
  readonly ours: Image;
  readonly reference: Image;
  readonly busybox: Image;
}

const KIBIBYTE = 1024;

/** How long pause may take to start if it has to read its own pages again and again, in seconds: the machine is emulated. */
const LONGEST_START = 60;

/** The same under a limit so small that it may never become ready. */
const LONGEST_SMALL_START = 40;

/** How long a frozen process has to misbehave, in milliseconds. */
const A_WHILE = 500;

/** One cgroup of the only hierarchy. */
class Cgroup {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** The one that a process is in. Throws if the machine has another hierarchy. */
  static async of(host: Host, pid: number): Promise<Cgroup> {
    const text = await readFile(host.proc(pid, "cgroup"), "utf8");
    const [, path] = text.match(/^0::(\/.*)\n$/) ?? [];
    if (path === undefined) throw new Error(`not cgroup v2 alone: ${text}`);
    return new Cgroup(`/sys/fs/cgroup${path}`);
  }

  async read(file: string): Promise<string> {
    return (await readFile(`${this.folder}/${file}`, "utf8")).trimEnd();
  }

  write(file: string, value: string): Promise<void> {
    return writeFile(`${this.folder}/${file}`, value);
  }

  /** One value of a file of lines `key value`. */
  async value(file: string, key: string): Promise<number> {
    const line = (await this.read(file)).split("\n").find((text) => text.startsWith(`${key} `));
    return Number(line?.slice(key.length + 1));
  }

  /** Freezes or thaws it and waits until the kernel says so. */
  async freeze(frozen: 0 | 1): Promise<void> {
    await this.write("cgroup.freeze", `${frozen}`);
    await until(`frozen ${frozen}`, async () => (await this.value("cgroup.events", "frozen")) === frozen);
  }
}

/** Waits until pause is ready. Throws if it is not, or is gone. */
async function rested(host: Host, pid: number, seconds = LONGEST_START): Promise<void> {
  await until("pause to be ready", async () => showsReady(await host.status(pid)), seconds);
}

/** The letters of the states of a process's children, in the order of their PIDs. */
async function children(host: Host, pid: number): Promise<string[]> {
  return (await host.processes()).filter(({ parent }) => parent === pid).map(({ state }) => state);
}

/** Runs a command as another container of the pod would: in the PID namespace of pause, but not in its cgroup. */
function inside(host: Host, pid: number, command: readonly string[]): Promise<string> {
  return host.output(["nsenter", `--target=${pid}`, "--pid", "--", ...command]);
}

/** What /proc and the cgroup say about pause at rest; memory in KiB. */
async function rest({ host }: Engine, { pause }: Pod): Promise<Observation> {
  const cgroup = await Cgroup.of(host, pause);
  const { NSpid, ...status } = await host.status(pause);
  const kibibytes = async (value: Promise<number | string>) => Number(await value) / KIBIBYTE;
  return {
    ...status,
    pid: NSpid.split("\t").at(-1),
    alone: (await cgroup.read("cgroup.procs")).split("\n").length,
    figures: {
      current: await kibibytes(cgroup.read("memory.current")),
      peak: await kibibytes(cgroup.read("memory.peak")),
      anon: await kibibytes(cgroup.value("memory.stat", "anon")),
      file: await kibibytes(cgroup.value("memory.stat", "file")),
      kernel: await kibibytes(cgroup.value("memory.stat", "kernel")),
    },
  };
}

/** Freezes pause, lets orphans of it end, thaws it; freezes it again, tells it to end, thaws it. */
async function freeze({ host }: Engine, { pause, exitStatus }: Pod): Promise<Observation> {
  const cgroup = await Cgroup.of(host, pause);
  await cgroup.freeze(1);
  await inside(host, pause, ["sh", "-c", `for n in $(seq ${FROZEN_ORPHANS}); do (true &); done`]);
  const zombies = async () => (await children(host, pause)).filter((state) => state === "Z").length;
  await until("the orphans have ended", async () => (await zombies()) === FROZEN_ORPHANS, 3).catch(() => {});
  const unreaped = await zombies();
  await cgroup.freeze(0);
  await until("they are reaped", async () => (await children(host, pause)).length === 0).catch(() => {});
  const left = await children(host, pause);
  await rested(host, pause);
  await cgroup.freeze(1);
  await host.kill(pause, "TERM");
  await Bun.sleep(A_WHILE);
  const heeded = !(await host.exists(pause));
  await cgroup.freeze(0).catch(() => {});
  return { left, heeded, status: await exitStatus(), figures: { unreaped } };
}

/** Kills the whole cgroup. */
async function kill({ host }: Engine, { pause, exitStatus }: Pod): Promise<Observation> {
  const cgroup = await Cgroup.of(host, pause);
  await cgroup.write("cgroup.kill", "1");
  const status = await exitStatus();
  return { status, gone: !(await host.exists(pause)) };
}

/** Makes orphans that die in bursts, and checks what is left. Times in milliseconds. */
async function storm({ host }: Engine, { pause }: Pod): Promise<Observation> {
  const cgroup = await Cgroup.of(host, pause);
  const before = Number(await cgroup.read("memory.current")) / KIBIBYTE;
  const said = await inside(host, pause, ["/test/storm", `${STORM.orphans}`, `${STORM.burst}`]);
  const left = await children(host, pause);
  await rested(host, pause);
  const { Threads } = await host.status(pause);
  const grown = Number(await cgroup.read("memory.current")) / KIBIBYTE - before;
  const [time = 0, longest = 0] = said.split(/\s+/).map((nanoseconds) => Math.round(Number(nanoseconds) / 1e6));
  return { left, Threads, figures: { grown, time, longest } };
}

/** Stops pause as the engine does, and removes the pod. */
async function stop({ host }: Engine, pod: Pod): Promise<Observation> {
  const { folder } = await Cgroup.of(host, pod.pause);
  await pod.stop();
  const status = await pod.exitStatus();
  const gone = !(await host.exists(pod.pause));
  await pod.remove();
  return { status, gone, cgroup: await exists(folder) };
}

/** Starts pause under a small `memory.max`, with none of its files cached, waits up to `seconds` for it to be ready, and stops it. */
async function runUnder(runtime: OciRuntime, memory: number, seconds: number): Promise<Observation> {
  await forget();
  const begin = performance.now();
  const container = await runtime.startPause("limited", { memory });
  const runs =
    container.pid > 0 &&
    (await rested(runtime.host, container.pid, seconds).then(
      () => true,
      () => false,
    ));
  const milliseconds = Math.round(performance.now() - begin);
  const held = container.pid > 0 && (await runtime.memoryLimit(container));
  const { status, stderr } = await runtime.stop(container, runs ? "TERM" : "KILL");
  return { runs, limit: held, status, figures: { milliseconds, stderr } };
}

/** Runs pause under LIMIT, and finds the smallest of the limits in SMALLER that it runs under. */
async function limit(runtime: OciRuntime): Promise<Observation> {
  const first = await runUnder(runtime, LIMIT, LONGEST_START);
  let smallestMiB = LIMIT / KIBIBYTE / KIBIBYTE;
  for (const mebibytes of SMALLER) {
    const { runs, status } = await runUnder(runtime, mebibytes * KIBIBYTE * KIBIBYTE, LONGEST_SMALL_START).catch(
      failed,
    );
    if (runs !== true || status !== 0) break;
    smallestMiB = mebibytes;
  }
  return { ...first, figures: { ...(first["figures"] as Observation), smallestMiB } };
}

/** Makes the kernel, which nobody else uses, drop its page cache: what is read next is charged to its reader. */
async function forget(): Promise<void> {
  await Bun.spawn(["sync"]).exited;
  await writeFile("/proc/sys/vm/drop_caches", "3");
}

/** What each case with a pod does to it. */
const OBSERVE: Readonly<Record<Exclude<Case, "limit">, (engine: Engine, pod: Pod) => Promise<Observation>>> = {
  rest,
  freeze,
  kill,
  storm,
  stop,
};

/** Removes a pod, and tries again as a kubelet does: containerd may find that its shim has just ended with pause. */
async function removed(pod: Pod): Promise<void> {
  const remove = async () =>
    pod.remove().then(
      () => true,
      () => false,
    );
  await until("the pod is removed", remove);
}

/** Runs one case, with a new pod if it needs one. */
async function observe(engine: Engine, name: Case): Promise<Observation> {
  if (name === "limit") return limit(engine as OciRuntime);
  await forget();
  const pod = await engine.startPod(name, { sharedPid: true });
  try {
    await rested(engine.host, pod.pause);
    return await OBSERVE[name](engine, pod);
  } finally {
    // The case `stop` has removed its pod itself.
    if (name !== "stop") await removed(pod);
  }
}

/** containerd, with crun under the name that it looks for. */
const withCrun: StartEngine = async (host, pause, busybox) => {
  await host.output(["mount", "--bind", Bun.which("crun") ?? "", Bun.which("runc") ?? ""]);
  return Containerd.start(host, pause, busybox);
};

const START: Readonly<Record<EngineName, StartEngine>> = {
  runc: OciRuntime.with("runc"),
  crun: OciRuntime.with("crun"),
  "containerd with runc": Containerd.start,
  "containerd with crun": withCrun,
};

/** Prints a line to the console, with the value as JSON. */
function say(key: string, value: unknown): void {
  console.log(`${key} ${JSON.stringify(value)}`);
}

/** An error as an observation. */
function failed(error: unknown): Observation {
  return { error: error instanceof Error ? error.message : String(error) };
}

const images = (await Bun.file(IMAGES).json()) as Images;
const wanted = process.argv.slice(2);
for (const engineName of ENGINES.filter((name) => wanted.length === 0 || wanted.includes(name))) {
  for (const side of SIDES) {
    const begin = performance.now();
    const cases = CASES.filter((name) => takes(engineName, name));
    try {
      const host = await Host.start();
      await using engine = await START[engineName](host, images[side], images.busybox);
      for (const name of cases) say(keyOf(engineName, side, name), await observe(engine, name).catch(failed));
    } catch (error) {
      for (const name of cases) say(keyOf(engineName, side, name), failed(error));
    }
    console.log(`# ${engineName}, ${side}: ${Math.round(performance.now() - begin)} ms`);
  }
}
