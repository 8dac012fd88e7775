/** Orphan storms: how fast a PID 1 reaps, and what state it is in afterwards. */

import { InputError } from "../command/report.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "../linux/namespace.ts";
import { childrenOf, until } from "../linux/proc.ts";
import type { Program } from "./programs.ts";
import { settle, threadsOf, type Weight, weigh } from "./rest.ts";
import { interleaved } from "./statistics.ts";

/** Orphans that die at once. */
export const BURST = 50;

/** Seconds that a program gets to become one thread again. */
const SETTLE = 15;

/** What storms showed of one program. */
export interface Storm {
  /** Wall time of each storm in milliseconds: from the first fork until the last orphan is reaped. */
  readonly times: readonly number[];
  /** The longest in each storm that an orphan was seen dead and not reaped, in milliseconds; one of each burst is looked at. */
  readonly zombies: readonly number[];
  readonly before: Weight;
  /** Once it was one thread, at most 15 s after the last storm. */
  readonly after: Weight;
  /** Threads right after the last storm. */
  readonly threadsAtOnce: number;
  /** Threads when `after` was weighed. */
  readonly threads: number;
}

/** A program as PID 1 of its own PID namespace. */
interface PidOne {
  /** Its PID in this process's namespace. */
  readonly pid: number;
  /** Runs the storm in there once: wall time and longest zombie, in milliseconds. Throws if it fails. */
  rage(orphans: number): Promise<[time: number, zombie: number]>;
  end(): Promise<void>;
}

/** Starts `program` as PID 1 and waits until it is ready. */
async function pidOne(program: Program, storm: string): Promise<PidOne> {
  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  const unshare = Bun.spawn([...namespace.command, program.path, ...program.args], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  const end = async () => {
    unshare.kill("SIGKILL"); // Which kills PID 1, by --kill-child.
    await unshare.exited;
  };
  try {
    const pid = await until("PID 1", () => childrenOf(unshare.pid)[0]?.pid);
    await settle(program, [pid]);
    return {
      pid,
      end,
      async rage(orphans) {
        const command = [...namespace.enter(pid), storm, `${orphans}`, `${BURST}`];
        const raging = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
        const [numbers, trouble] = await Promise.all([raging.stdout.text(), raging.stderr.text()]);
        if ((await raging.exited) !== 0) throw new Error(`the storm on ${program.name} broke off: ${trouble}`);
        const [time = Number.NaN, zombie = Number.NaN] = numbers.split(" ").map((nanoseconds) => +nanoseconds / 1e6);
        return [time, zombie];
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/**
 * Runs `rounds` storms of `orphans` each on every program, in turns.
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
): Promise<Storm[]> {
  const ones: PidOne[] = [];
  try {
    for (const program of programs) ones.push(await pidOne(program, storm));
    const before = ones.map(({ pid }) => weigh(pid));
    const raged = await interleaved(
      ones.map((one) => () => one.rage(orphans)),
      rounds,
      onRound,
    );
    const threadsAtOnce = ones.map(({ pid }) => threadsOf(pid));
    const settled = () => ones.every(({ pid }) => threadsOf(pid) === 1);
    const deadline = performance.now() + SETTLE * 1000;
    while (!settled() && performance.now() < deadline) await Bun.sleep(100);
    return ones.map(({ pid }, index) => ({
      times: raged[index]?.map(([time]) => time) ?? [],
      zombies: raged[index]?.map(([, zombie]) => zombie) ?? [],
      before: before[index] as Weight,
      after: weigh(pid),
      threadsAtOnce: threadsAtOnce[index] as number,
      threads: threadsOf(pid),
    }));
  } finally {
    await Promise.all(ones.map((one) => one.end()));
  }
}
