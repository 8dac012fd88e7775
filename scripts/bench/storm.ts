/** Orphan storms: how fast a PID 1 reaps, what that costs it, and its state afterwards. */
import { readFileSync } from "node:fs";
import { InputError } from "../command/report.ts";
import { output } from "../command/run.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "../linux/namespace.ts";
import { childrenOf, status, until } from "../linux/proc.ts";
import type { Program } from "./programs.ts";
import { weigh } from "./rest.ts";
import { waitReady } from "./start.ts";
import { type Add, interleaved } from "./statistics.ts";

/** Orphans that die at once. */
export const BURST = 50;

/** Storms that the orphans are divided among. */
const STORMS = 10;

/** Processor time that the first thread of a process has had, in milliseconds: its schedstat begins with it, in nanoseconds. */
function processorTime(pid: number): number {
  return Number.parseInt(readFileSync(`/proc/${pid}/schedstat`, "utf8"), 10) / 1e6;
}

/**
 * Has every program as PID 1 reap `orphans` in all, in turns.
 *
 * @param storm path of the storm, see compileStorm
 * @throws InputError where no PID namespace can be made
 */
export async function measureStorms(
  programs: readonly Program[],
  storm: string,
  orphans: number,
  add: Add,
): Promise<void> {
  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  const each = Math.ceil(orphans / STORMS);
  // PID 1 is killed with its parent.
  const parents = programs.map(({ path, args }) =>
    Bun.spawn([...namespace.command, path, ...args], { stdio: ["ignore", "ignore", "ignore"] }),
  );
  try {
    const started = [];
    for (const [index, program] of programs.entries()) {
      const pid = await until("PID 1", () => childrenOf(parents[index]?.pid ?? 0)[0]?.pid);
      waitReady(pid, program.ready);
      started.push({ program, pid, before: weigh(pid).rss });
    }
    const storms = started.map(({ program, pid }) => async () => {
      const start = processorTime(pid);
      const nanoseconds = Number(await output([...namespace.enter(pid), storm, `${each}`, `${BURST}`]));
      add(`orphans reaped in a second, in bursts of ${BURST}`, program, (each / nanoseconds) * 1e9);
      add("processor time of PID 1 for 10,000 orphans, ms", program, ((processorTime(pid) - start) / each) * 10_000);
    });
    await interleaved(`storms of ${each} orphans`, storms, STORMS);
    for (const { program, pid, before } of started) {
      add("RSS afterwards, more than before, KiB", program, weigh(pid).rss - before);
      add("threads right afterwards", program, Number(status(pid)?.["Threads"]));
    }
  } finally {
    for (const parent of parents) parent.kill("SIGKILL");
    await Promise.all(parents.map(({ exited }) => exited));
  }
}
