/** Measurements at rest: what one process and what many of them weigh, and how quiet they are. */
import { readdirSync, readFileSync } from "node:fs";
import { progress, withProgress } from "../command/report.ts";
import { makeCgroup } from "../linux/cgroup.ts";
import { childrenOf, contextSwitches, status, until } from "../linux/proc.ts";
import { command, wait } from "../linux/spawn.ts";
import type { Program } from "./programs.ts";
import { readyTime, waitReady } from "./start.ts";
import type { Add } from "./statistics.ts";

const IS_ROOT = process.getuid?.() === 0;

/** The reason to leave some figures out for users other than root. */
export const NOT_DUMPABLE =
  "PSS and open descriptors are left out: pause-ts is not dumpable, so only root may see its own.";

/**
 * Weighs a process, in KiB: proc_pid_status(5), proc_pid_smaps(5). A figure is NaN if it has ended. The proportional set size,
 * each page divided by the number of processes that map it, is undefined for users other than root.
 */
export function weigh(pid: number) {
  const now = status(pid);
  const kib = (name: string) => Number.parseInt(now?.[name] ?? "", 10);
  const pss = () => Number(/^Pss: *(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
  return { rss: kib("VmRSS"), anonymous: kib("RssAnon"), pss: IS_ROOT ? pss() : undefined, pageTables: kib("VmPTE") };
}

/** Starts one process of each program and watches them all for `seconds`, after one second to come to rest. */
export async function measureRest(programs: readonly Program[], seconds: number, add: Add): Promise<void> {
  const pids: number[] = [];
  try {
    for (const { path, args, ready } of programs) {
      const pid = command([path, ...args])();
      pids.push(pid);
      waitReady(pid, ready);
    }
    await Bun.sleep(1000);
    const before = pids.map(contextSwitches);
    await withProgress(`at rest for ${seconds} s`, Bun.sleep(seconds * 1000));
    for (const [index, program] of programs.entries()) {
      const pid = pids[index] ?? 0;
      add("threads", program, Number(status(pid)?.["Threads"]));
      add("open descriptors", program, IS_ROOT ? readdirSync(`/proc/${pid}/fd`).length : undefined);
      add(`context switches in ${seconds} s`, program, contextSwitches(pid) - (before[index] ?? 0));
    }
  } finally {
    for (const pid of pids) {
      process.kill(pid, "SIGKILL");
      wait(pid);
    }
  }
}

/** Milliseconds in which the kernel brings a cgroup's figures up to date. */
const CGROUP_UPDATE = 2500;

/**
 * Enters a cgroup, if one is given, before its first fork, starts the program once for every line it reads, and in the
 * end kills them all.
 */
const STARTER = '[ -z "$0" ] || echo 0 >"$0"; while read -r _; do "$@" 2>/dev/null & all="$all $!"; done; kill -9 $all';

/** Starts instances of `program` up to each number of `counts`, in rising order, and weighs them each time. */
export async function measureCrowds(program: Program, counts: readonly number[], add: Add): Promise<void> {
  // Once outside the cgroup: the first reader is charged for pages read from disk.
  readyTime(program)();
  const cgroup = makeCgroup("memory");
  const shell = Bun.spawn(["sh", "-c", STARTER, cgroup?.procs ?? "", program.path, ...program.args], {
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["pipe", "ignore", "inherit"],
  });
  const pids = () => childrenOf(shell.pid).map(({ pid }) => pid);
  try {
    await Bun.sleep(CGROUP_UPDATE);
    const before = cgroup?.charged() ?? 0;
    for (const count of counts) {
      progress(`memory of ${count} instances: ${program.name}`);
      shell.stdin.write("\n".repeat(count - pids().length));
      await shell.stdin.flush();
      await until(`${count} instances`, () => pids().length === count);
      for (const pid of pids()) waitReady(pid, program.ready);
      await Bun.sleep(CGROUP_UPDATE);
      add(
        `charged by the memory cgroup, each of ${count}, KiB`,
        program,
        cgroup && (cgroup.charged() - before) / count,
      );
      for (const { pss, rss, anonymous, pageTables } of pids().map(weigh)) {
        add(`PSS, each of ${count}, KiB`, program, pss);
        if (count !== counts.at(-1)) continue;
        add("RSS, KiB", program, rss);
        add("RssAnon, KiB", program, anonymous);
        add("page tables, KiB", program, pageTables);
      }
    }
  } finally {
    await shell.stdin.end();
    await shell.exited;
    await cgroup?.remove();
  }
}
