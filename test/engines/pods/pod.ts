/** Pods on any engine: one table of cases, each run with ours and with the C reference. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile, readlink } from "node:fs/promises";
import {
  CHLD_IGNORED,
  NO_SIGNALS,
  showsPause,
  THREE_HANDLERS,
  TWO_HANDLERS,
  until,
} from "../../../scripts/linux/proc.ts";
import { type Engine, type Member, onNewHost, type Pod } from "../engine.ts";
import type { Generation } from "../generations.ts";
import type { Host } from "../host.ts";
import { busyboxImage, type Image, pauseImage, referenceImage } from "../images.ts";
import { PATIENCE } from "../requirements.ts";

/** The same engine twice: with our image and with the reference's. */
export interface Sides<E extends AsyncDisposable = Engine> {
  readonly ours: E;
  readonly reference: E;
}

/** Everything that was observed of a side, by name. */
type Observation = Readonly<Record<string, unknown>>;

const NOBODY = "65535\t65535\t65535\t65535";
const NO_CAPABILITIES = "0000000000000000";

/** Pause on an engine that uses the image's user and drops what it is told to drop. */
export const UNPRIVILEGED = {
  Uid: NOBODY,
  Gid: NOBODY,
  CapEff: NO_CAPABILITIES,
  CapPrm: NO_CAPABILITIES,
  CapAmb: NO_CAPABILITIES,
  NoNewPrivs: "1",
};

/** The fields of /proc/PID/status that show how a process was set up and how it waits: proc_pid_status(5). */
const STATUS = [
  ...["State", "Threads", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Name", "Umask"],
  ...["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk", "SigIgn", "SigCgt"],
];

/** Waits until pause is ready. Throws if it is not within `seconds`, or is gone. */
export async function asleep(host: Host, pid: number, seconds?: number): Promise<void> {
  await until("pause to be ready", () => showsPause(host.status(pid)), seconds);
}

/** The state of pause in /proc once it sleeps, or after `seconds` if it does not. Throws if it is gone. */
export async function atRest(host: Host, pid: number, seconds = 30): Promise<Observation> {
  await asleep(host, pid, seconds).catch(() => undefined);
  const status = host.status(pid);
  return {
    ...Object.fromEntries(STATUS.map((field) => [field, status[field]])),
    pid: status["NSpid"]?.split("\t").at(-1),
    commandLine: await readFile(host.proc(pid, "cmdline"), "utf8"),
    executable: await host.output(["readlink", `/proc/${pid}/exe`]),
    environment: (await readFile(host.proc(pid, "environ"), "utf8"))
      .split("\0")
      .filter((entry) => !/^(HOSTNAME|container)=/.test(entry))
      .sort(),
    ownNamespaces: await ownNamespaces(host, pid),
  };
}

/** The namespaces that a process is in, by kind, like `ipc:[4026531839]`. Throws if the process is gone. */
async function namespaces(host: Host, pid: number): Promise<Readonly<Record<string, string>>> {
  const kinds = ["ipc", "mnt", "net", "pid", "user", "uts"];
  const found = kinds.map(async (kind) => [kind, await readlink(host.proc(pid, "ns", kind))] as const);
  return Object.fromEntries(await Promise.all(found));
}

/** The kinds of namespaces that the process does not share with the host's process 1. */
async function ownNamespaces(host: Host, pid: number): Promise<string[]> {
  const [its, hosts] = await Promise.all([namespaces(host, pid), namespaces(host, 1)]);
  return Object.keys(its).filter((kind) => its[kind] !== hosts[kind]);
}

/** Ends a script that keeps a container running. */
export const STAY = "exec sleep 86400";

/** Prints the command lines of all processes that a container sees, except the one that looks. */
const LOOK = `for process in /proc/[0-9]*; do
  [ $process = /proc/$$ ] || echo "$\{process#/proc/} $(cat $process/cmdline | tr '\\0' ' ')"
done`;

/** The shared things, as a member of the pod sees them. */
async function seen(
  member: Member,
): Promise<Readonly<Record<"net" | "ipc" | "pid" | "hostname" | "addresses", string>>> {
  const script =
    "for kind in net ipc pid; do readlink /proc/self/ns/$kind; done; hostname; ip -o address | tr '\\n' ' '";
  const [net = "", ipc = "", pid = "", hostname = "", addresses = ""] = (await member.exec(script)).split("\n");
  return { net, ipc, pid, hostname, addresses };
}

/** One thing a pod must do. */
interface Case {
  /** As in "a pod: …". */
  readonly name: string;
  readonly sharedPid: boolean;
  /** Expected of the reference, which ours must then match. */
  readonly must: Observation;
  /** Runs the case and returns what was observed. The pod is removed afterwards, if it still exists. */
  observe(pod: Pod, host: Host): Promise<Observation>;
}

/** The longest stop of an engine that need not kill, in milliseconds: they wait at least ten seconds before they kill. */
export const QUICK = 8000;

/** The case that each engine adds its privileges to. */
const AT_REST = "pause sleeps as PID 1, with one thread and its handlers";

const CASES: readonly Case[] = [
  {
    name: AT_REST,
    sharedPid: true,
    must: {
      pid: "1",
      commandLine: "/pause\0",
      executable: "/pause",
      Threads: "1",
      SigBlk: NO_SIGNALS,
      SigIgn: NO_SIGNALS,
      SigCgt: THREE_HANDLERS,
      ownNamespaces: ["ipc", "mnt", "net", "pid", "uts"],
    },
    observe: (pod, host) => atRest(host, pod.pause),
  },
  {
    name: "two containers that share the PID namespace see each other, and pause as PID 1",
    sharedPid: true,
    must: { first: ["1 /pause", "sleep 1111", "sleep 2222"], second: ["1 /pause", "sleep 1111", "sleep 2222"] },
    async observe(pod) {
      const first = await pod.join("first", "exec sleep 1111");
      const second = await pod.join("second", "exec sleep 2222");
      return { first: await processes(first), second: await processes(second) };
    },
  },
  {
    name: "containers with separate PID namespaces see only themselves",
    sharedPid: false,
    must: { first: ["1 sleep 1111"], second: ["1 sleep 2222"] },
    async observe(pod) {
      const first = await pod.join("first", "exec sleep 1111");
      const second = await pod.join("second", "exec sleep 2222");
      return { first: await processes(first), second: await processes(second) };
    },
  },
  {
    name: "containers share network, addresses, hostname, IPC and shared memory",
    sharedPid: false,
    must: { network: true, ipc: true, hostname: true, addresses: true, memory: "hello" },
    async observe(pod, host) {
      const first = await pod.join("first", STAY);
      const second = await pod.join("second", STAY);
      const [one, two, pause] = [await seen(first), await seen(second), await namespaces(host, pod.pause)];
      await first.exec("echo hello > /dev/shm/greeting");
      return {
        network: one.net === two.net && one.net === pause["net"],
        ipc: one.ipc === two.ipc && one.ipc === pause["ipc"],
        hostname: one.hostname !== "" && one.hostname === two.hostname,
        addresses: one.addresses !== "" && one.addresses === two.addresses,
        memory: await second.exec("cat /dev/shm/greeting"),
      };
    },
  },
  {
    name: "a container crashes and comes back; the pod's address, hostname and namespaces stay",
    sharedPid: true,
    must: { exit: 3, other: true, again: true, pause: true, running: true },
    async observe(pod, host) {
      const other = await pod.join("other", STAY);
      const before = [await seen(other), await namespaces(host, pod.pause)];
      const crashing = await pod.join("crashing", "exit 3");
      const exit = await crashing.exited();
      await crashing.remove();
      const again = await pod.join("crashing", STAY);
      return {
        exit,
        other: Bun.deepEquals(await seen(other), before[0]),
        again: Bun.deepEquals(await seen(again), before[0]),
        pause: Bun.deepEquals(await namespaces(host, pod.pause), before[1]),
        running: await pod.running(),
      };
    },
  },
  {
    name: "orphans of an exec become children of pause and leave no zombie",
    sharedPid: true,
    must: { adopted: 50, left: [] },
    async observe(pod, host) {
      const member = await pod.join("member", STAY);
      // The subshells end at once; each sleep loses its parent and is adopted by PID 1.
      await member.exec("for i in $(seq 50); do (sleep 86400 > /dev/null 2>&1 &); done");
      const orphans = await until("the orphans are adopted", async () => {
        const now = host.childrenOf(pod.pause);
        return now.length >= 50 && now;
      });
      await host.output(["kill", "-KILL", ...orphans.map(({ pid }) => String(pid))]);
      await until("no orphan is left", () => host.childrenOf(pod.pause).length === 0, 30).catch(() => {});
      return { adopted: orphans.length, left: host.childrenOf(pod.pause) };
    },
  },
  {
    name: "it stops: pause and the containers are gone, long before the engine would kill them",
    sharedPid: true,
    must: { quick: true, running: false, gone: true },
    async observe(pod, host) {
      await atRest(host, pod.pause);
      const start = performance.now();
      await pod.stop();
      const quick = performance.now() - start < QUICK;
      const gone = !host.exists(pod.pause);
      return { quick, running: await pod.running(), gone, status: await pod.exitStatus() };
    },
  },
  {
    name: "pause is told to terminate: it exits 0 and the engine says so",
    sharedPid: true,
    must: { notRunning: true, status: 0 },
    async observe(pod, host) {
      await atRest(host, pod.pause);
      await host.kill(pod.pause, "TERM");
      const notRunning = await until("the engine notices", async () => !(await pod.running()));
      return { notRunning, status: await pod.exitStatus() };
    },
  },
  {
    name: "pause is killed: the engine says so, and nothing of a shared PID namespace survives",
    sharedPid: true,
    must: { notRunning: true, status: 128 + 9, member: 128 + 9 },
    async observe(pod, host) {
      const member = await pod.join("member", STAY);
      await host.kill(pod.pause, "KILL");
      const notRunning = await until("the engine notices", async () => !(await pod.running()));
      return { notRunning, status: await pod.exitStatus(), member: await member.exited() };
    },
  },
];

/** The processes that a member sees: `1 /pause` and, for all others, the command line alone, sorted. */
export async function processes(member: Member): Promise<string[]> {
  const lines = (await member.exec(LOOK)).split("\n").map((line) => line.trim());
  // A number alone is a process that ended in the meantime, like the one that ran `tr`.
  const alive = lines.filter((line) => / \S/.test(line));
  return alive.map((line) => (line.startsWith("1 ") ? line : line.replace(/^\d+ /, ""))).sort();
}

/** The images that a side needs. */
export type Images = Readonly<Record<"pause" | "reference" | "busybox", () => Promise<Image>>>;

const IMAGES: Images = { pause: pauseImage, reference: referenceImage, busybox: busyboxImage };

/** Starts both sides of an engine before the surrounding tests, stops them afterwards, and gives access to them. */
export function bothSides<E extends AsyncDisposable>(
  generation: Generation,
  start: (host: Host, pause: Image, busybox: Image) => Promise<E>,
  images = IMAGES,
): () => Sides<E> {
  const started: E[] = [];
  beforeAll(async () => {
    for (const imageOf of [images.pause, images.reference]) {
      const engine = await onNewHost(generation, async (host) => start(host, await imageOf(), await images.busybox()));
      started.push(engine);
    }
  }, 4 * PATIENCE);
  afterAll(async () => {
    for (const engine of started) await engine[Symbol.asyncDispose]();
  }, PATIENCE);
  return () => {
    const [ours, reference] = started;
    if (!ours || !reference) throw new Error("the engine did not start");
    return { ours, reference };
  };
}

/** Fields of /proc/PID/status in which ours differs on purpose (src/lock.ts, src/signals.ts), made from the reference's. */
const OURS: Readonly<Record<string, (field: unknown) => string>> = {
  NoNewPrivs: () => "1",
  Seccomp: () => "2",
  Seccomp_filters: (filters) => `${Number(filters) + 1}`,
  SigCgt: () => TWO_HANDLERS,
  SigIgn: () => CHLD_IGNORED,
};

/** The observation with those differences, wherever they show. */
function ofOurs(observation: Observation): Observation {
  const entries = Object.entries(observation).map(([key, value]) => {
    const nested = value !== null && typeof value === "object" && !Array.isArray(value);
    return [key, nested ? ofOurs(value as Observation) : (OURS[key]?.(value) ?? value)];
  });
  return Object.fromEntries(entries);
}

/** Runs `observe` on both sides, and expects the reference to match `must` and ours to equal the reference. */
export async function compare<E extends AsyncDisposable>(
  sides: Sides<E>,
  must: Observation,
  observe: (engine: E) => Promise<Observation>,
): Promise<void> {
  const ours = await observe(sides.ours);
  const reference = await observe(sides.reference);
  expect(reference).toMatchObject(must);
  expect(ours).toEqual(ofOurs(reference));
}

/** Tests every case of the table. `privileges` are those that the engine gives pause: fields of /proc/PID/status. */
export function testPods(sides: () => Sides, privileges: Observation): void {
  CASES.forEach(({ name, sharedPid, must, observe }, index) => {
    const observed = async (engine: Engine) => {
      const pod = await engine.startPod(`pod-${index}`, { sharedPid });
      try {
        return await observe(pod, engine.host);
      } finally {
        await pod.remove();
      }
    };
    const all = name === AT_REST ? { ...must, ...privileges } : must;
    test(`a pod: ${name}`, () => compare(sides(), all, observed), PATIENCE);
  });
}
