/** Counts a start's instructions with perf(1), where the processor's counters can be used: in many virtual machines they cannot. */
import { childrenOf, isReady, until } from "../linux/proc.ts";
import { PAUSE_READY, type Program } from "./programs.ts";

/** Why the figure is left out. */
export const NO_INSTRUCTIONS =
  "Instructions are left out: perf is not installed or counts none on this machine; processor time stands for them.";

/**
 * Instructions of `program` until it is ready, its end by SIGKILL included, as `perf stat` counts them.
 *
 * @param event what to count, by perf's name
 * @returns undefined where perf is missing or does not count, and for a program without the contract's handlers
 */
export async function instructions(
  { path, args, ready }: Program,
  event = "instructions",
): Promise<number | undefined> {
  if (!Bun.which("perf") || ready !== PAUSE_READY) return undefined;
  const perf = Bun.spawn(["perf", "stat", "-x", ",", "-e", event, "--", path, ...args], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  // Not by `ready`: perf hands down a mask of its own.
  const pid = await until(`${path} to be ready`, () => childrenOf(perf.pid).find((child) => isReady(child.pid))?.pid);
  process.kill(pid, "SIGKILL");
  // After what the program wrote, a line with the count first, or `<not supported>`.
  const [, count] = (await perf.stderr.text()).match(new RegExp(`^(\\d+),.*,${event},`, "m")) ?? [];
  return count === undefined ? undefined : Number(count);
}
