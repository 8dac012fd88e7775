/** Measurements at rest: what one process and what many of them weigh, and how quiet they are. */
import { readdirSync, readFileSync } from "node:fs";
import { makeCgroup } from "../linux/cgroup.ts";
import { childrenOf, contextSwitches, status, until } from "../linux/proc.ts";
import { command, wait } from "../linux/spawn.ts";
import type { Program } from "./programs.ts";
import { waitReady } from "./start.ts";

/** The memory of one process, in KiB. */
export interface Weight {
  readonly rss: number;
  readonly anonymous: number;
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

/** The reason to leave some figures out for users other than root. */
export const NOT_DUMPABLE =
  "PSS and open descriptors of pause-ts are left out: it is not dumpable, so only root may see them.";

/** Returns what `look` gives, or undefined if the kernel denies it: only root may look into a process that is not dumpable. */
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
    pss: ifAllowed(() => kib(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"), "Pss")),
    pageTables: kib(text, "VmPTE"),
  };
}

/** The number of threads of a process; 0 when it has ended. */
export function threadsOf(pid: number): number {
  return Number(status(pid)?.["Threads"] ?? 0);
}

/** The quiet of a process. */
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
    for (const { path, args, ready } of programs) {
      const pid = command([path, ...args]).spawn();
      pids.push(pid);
      waitReady(pid, ready);
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

/** The memory of a number of instances of one program. */
export interface Crowd {
  readonly count: number;
  /** Each of them, weighed while all are there. */
  readonly weights: readonly Weight[];
  /** Charged by their memory cgroup, in KiB for each; undefined where none can be made. */
  readonly charged: number | undefined;
}

/** Milliseconds in which the kernel brings a cgroup's figures up to date. */
const CGROUP_UPDATE = 2500;

/** Enters a cgroup, if one is given, before its first fork, starts the program once for every line it reads, and in the end kills them all. */
const STARTER = '[ -z "$0" ] || echo 0 >"$0"; while read -r _; do "$@" 2>/dev/null & done; kill -9 $(jobs -p)';

/** Starts instances of `program` up to each number of `counts`, in rising order, and weighs them each time. */
export async function crowds(program: Program, counts: readonly number[]): Promise<Crowd[]> {
  // Once outside the cgroup: the first reader is charged for pages read from disk.
  await rest([program], 0);
  const cgroup = makeCgroup("memory");
  const shell = Bun.spawn(["sh", "-c", STARTER, cgroup?.procs ?? "", program.path, ...program.args], {
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["pipe", "ignore", "inherit"],
  });
  const pids = () => childrenOf(shell.pid).map(({ pid }) => pid);
  try {
    await Bun.sleep(CGROUP_UPDATE);
    const before = cgroup?.charged() ?? 0;
    const result: Crowd[] = [];
    for (const count of counts) {
      shell.stdin.write("\n".repeat(count - pids().length));
      await shell.stdin.flush();
      await until(`${count} instances`, () => pids().length === count);
      for (const pid of pids()) waitReady(pid, program.ready);
      await Bun.sleep(CGROUP_UPDATE);
      result.push({
        count,
        charged: cgroup && (cgroup.charged() - before) / count,
        weights: pids().map(weigh),
      });
    }
    return result;
  } finally {
    await shell.stdin.end();
    await shell.exited;
    await cgroup?.remove();
  }
}
