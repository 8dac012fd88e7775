/** Orphan storms: how fast a PID 1 reaps, what that costs it, and its state afterwards. */
import { readFileSync } from "node:fs";
import { InputError } from "../command/report.ts";
import { output } from "../command/run.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "../linux/namespace.ts";
import { childrenOf, until } from "../linux/proc.ts";
import type { Program } from "./programs.ts";
import { threadsOf, type Weight, weigh } from "./rest.ts";
import { waitReady } from "./start.ts";
import { interleaved } from "./statistics.ts";

/** Orphans that die at once. */
export const BURST = 50;

/** One storm, in milliseconds. */
export interface Storm {
  /** Wall time from the first fork until the last orphan is reaped. */
  readonly time: number;
  /** Processor time of PID 1. */
  readonly cpu: number;
}

/** The storms of one program. */
export interface Storms {
  readonly storms: readonly Storm[];
  readonly before: Weight;
  /** Right after the last storm. */
  readonly after: Weight;
  /** Threads right after the last storm. */
  readonly threads: number;
}

/** Processor time that the first thread of a process has had, in milliseconds: its schedstat begins with it, in nanoseconds. */
function processorTime(pid: number): number {
  return Number.parseInt(readFileSync(`/proc/${pid}/schedstat`, "utf8"), 10) / 1e6;
}

/**
 * Runs `rounds` storms of `orphans` each on every program as PID 1, in turns.
 *
 * @param storm path of the storm, see compileStorm
 * @param onRound called before each round with the number of rounds done
 * @throws InputError where no PID namespace can be made
 */
export async function storms(
  programs: readonly Program[],
  storm: string,
  orphans: number,
  rounds: number,
  onRound?: (done: number) => void,
): Promise<Storms[]> {
  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  // PID 1 is killed with its parent.
  const parents = programs.map(({ path, args }) =>
    Bun.spawn([...namespace.command, path, ...args], { stdio: ["ignore", "ignore", "ignore"] }),
  );
  try {
    const pids: number[] = [];
    for (const [index, { ready }] of programs.entries()) {
      const pid = await until("PID 1", () => childrenOf(parents[index]?.pid ?? 0)[0]?.pid);
      waitReady(pid, ready);
      pids.push(pid);
    }
    const before = pids.map(weigh);
    const once = (pid: number) => async (): Promise<Storm> => {
      const start = processorTime(pid);
      const nanoseconds = await output([...namespace.enter(pid), storm, `${orphans}`, `${BURST}`]);
      return { time: Number(nanoseconds) / 1e6, cpu: processorTime(pid) - start };
    };
    const all = await interleaved(pids.map(once), rounds, onRound);
    return pids.map((pid, index) => ({
      storms: all[index] ?? [],
      before: before[index] as Weight,
      after: weigh(pid),
      threads: threadsOf(pid),
    }));
  } finally {
    for (const parent of parents) parent.kill("SIGKILL");
    await Promise.all(parents.map(({ exited }) => exited));
  }
}
