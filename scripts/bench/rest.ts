/** Measurements at rest: what one process and what many of them weigh, and how quiet they are. */
import { readdirSync, readFileSync } from "node:fs";
import { type Memory, memory } from "../linux/cgroup.ts";
import { contextSwitches, status } from "../linux/proc.ts";
import { command, wait } from "../linux/spawn.ts";
import type { Program } from "./programs.ts";
import { waitReady } from "./start.ts";

/** What one process weighs, in KiB. */
export interface Weight {
  readonly rss: number;
  readonly anonymous: number;
  readonly file: number;
  /** Proportional set size: each page divided by the number of processes that map it. Undefined where it may not be seen. */
  readonly pss: number | undefined;
  readonly pageTables: number;
}

/** The number of KiB in a line `NAME: 123 kB` of a file in /proc. Throws if there is none. */
function kib(text: string, name: string): number {
  const found = text.match(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m"))?.[1];
  if (found === undefined) throw new Error(`no ${name}: has the process ended?`);
  return Number(found);
}

/** Why some figures are left out for users other than root. */
export const NOT_DUMPABLE =
  "PSS and open descriptors of pause-ts are left out: it is not dumpable, so only root may see them.";

/** What `look` gives, or undefined if the kernel denies it: only root may look into a process that is not dumpable. */
function ifAllowed<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") return undefined;
    throw error;
  }
}

/** Weighs a process: proc_pid_status(5), proc_pid_smaps(5). Throws if it has ended. */
export function weigh(pid: number): Weight {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    rss: kib(text, "VmRSS"),
    anonymous: kib(text, "RssAnon"),
    file: kib(text, "RssFile"),
    pss: ifAllowed(() => kib(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"), "Pss")),
    pageTables: kib(text, "VmPTE"),
  };
}

/** The number of threads of a process; 0 when it has ended. */
export function threadsOf(pid: number): number {
  return Number(status(pid)?.["Threads"] ?? 0);
}

/** Milliseconds for a program whose readiness cannot be seen. */
const SETTLING_TIME = 1000;

/** Waits until the processes, all of `program`, are ready. Throws after 10 s. */
export async function settle({ ready }: Program, pids: readonly number[]): Promise<void> {
  if (ready === "ended") throw new Error("a program that ends by itself is never at rest");
  if (ready) for (const pid of pids) waitReady(pid, ready);
  else await Bun.sleep(SETTLING_TIME);
}

/** How quiet a process is. */
export interface Rest {
  readonly threads: number;
  /** Open descriptors; undefined where they may not be seen. */
  readonly descriptors: number | undefined;
  /** Context switches of all its threads while it was watched. */
  readonly switches: number;
}

/** Starts one process of each program and watches them all for `seconds`, after one second to come to rest. */
export async function rest(
  programs: readonly Program[],
  seconds: number,
  onSecond: (done: number) => void = () => {},
): Promise<Rest[]> {
  const pids: number[] = [];
  try {
    for (const program of programs) {
      const pid = command([program.path, ...program.args]).spawn();
      pids.push(pid);
      await settle(program, [pid]);
    }
    await Bun.sleep(1000);
    const before = pids.map(contextSwitches);
    const end = performance.now() + seconds * 1000;
    for (let left = end - performance.now(); left > 0; left = end - performance.now()) {
      onSecond(seconds - Math.ceil(left / 1000));
      await Bun.sleep(Math.min(left, 1000));
    }
    return pids.map((pid, index) => ({
      threads: threadsOf(pid),
      descriptors: ifAllowed(() => readdirSync(`/proc/${pid}/fd`).length),
      switches: contextSwitches(pid) - (before[index] ?? 0),
    }));
  } finally {
    for (const pid of pids) {
      process.kill(pid, "SIGKILL");
      wait(pid);
    }
  }
}

/** What a number of instances of one program weigh together. */
export interface Crowd {
  readonly count: number;
  /** Each of them, weighed while all are there. */
  readonly weights: readonly Weight[];
  /** Charged by their memory cgroup, in KiB for each; undefined where none can be made. */
  readonly charged: number | undefined;
}

/** Milliseconds in which the kernel brings a cgroup's figures up to date. */
const CGROUP_UPDATE = 2500;

/** A shell that starts the program once for every line it reads, and tells the PID. It runs in the cgroup, if there is one, from before its first fork. */
function starter({ path, args }: Program, cgroup: Memory | undefined) {
  const enter = cgroup ? 'echo $$ > "$0"; ' : "";
  const loop = 'while read -r _; do "$@" 2> /dev/null & echo $!; all="$all $!"; done';
  const script = `${enter}all=; echo ready; ${loop}; kill -9 $all; wait`;
  return Bun.spawn(["sh", "-c", script, cgroup?.procs ?? "sh", path, ...args], {
    env: { PATH: process.env["PATH"] ?? "" },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
}

/** Starts instances of `program` until there are as many as each of `counts` says, in rising order, and weighs them each time. */
export async function crowds(program: Program, counts: readonly number[]): Promise<Crowd[]> {
  // Once outside the cgroup: what is read from disk is charged to the first reader.
  await rest([program], 0);
  const cgroup = memory();
  const shell = starter(program, cgroup);
  try {
    const lines = readLines(shell.stdout);
    if ((await lines()) !== "ready") throw new Error("the shell that starts the instances does not run");
    await Bun.sleep(CGROUP_UPDATE);
    const before = cgroup?.charged() ?? 0;
    const pids: number[] = [];
    const result: Crowd[] = [];
    for (const count of counts) {
      while (pids.length < count) {
        shell.stdin.write("\n");
        await shell.stdin.flush();
        pids.push(Number(await lines()));
      }
      await settle(program, pids);
      await Bun.sleep(CGROUP_UPDATE);
      result.push({
        count,
        charged: cgroup && (cgroup.charged() - before) / count,
        weights: pids.map(weigh),
      });
    }
    return result;
  } finally {
    await shell.stdin.end();
    await shell.exited;
    cgroup?.remove();
  }
}

/** Reads a stream line by line: each call gives the next one, undefined at the end. */
function readLines(stream: ReadableStream<Uint8Array>): () => Promise<string | undefined> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let text = "";
  return async () => {
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) return undefined;
      text += decoder.decode(value, { stream: true });
    }
    const [line = "", ...rest] = text.split("\n");
    text = rest.join("\n");
    return line;
  };
}
