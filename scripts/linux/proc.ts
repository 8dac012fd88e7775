/** Observes processes through /proc: proc(5). */
import { readdirSync, readFileSync } from "node:fs";

/** The mask (`SigCgt`) of the signals that C's pause handles: INT, TERM and CHLD. */
export const THREE_HANDLERS = "0000000000014002";
/** The mask of those that ours handles: INT and TERM. */
export const TWO_HANDLERS = "0000000000004002";
/** The mask of CHLD, which ours ignores (`SigIgn`). */
export const CHLD_IGNORED = "0000000000010000";
/** The mask of no signal. */
export const NO_SIGNALS = "0000000000000000";

/** INT and TERM, which every pause handles and waits for. */
const HANDLED = 0x4002n;

/** Fields of `/proc/PID/status` by name, values as the kernel writes them. */
export type Status = Readonly<Record<string, string>>;

/** The text of a file in /proc; empty if its process is gone. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The status of process `pid` in the /proc mounted at `proc`; undefined if there is no such process. */
export function status(pid: number, proc = "/proc"): Status | undefined {
  const text = textOf(`${proc}/${pid}/status`);
  if (text === "") return undefined;
  return Object.fromEntries(
    text.split("\n").map((line) => {
      const [key = "", value = ""] = line.split(/:\s*/, 2);
      return [key, value.trim()];
    }),
  );
}

/** The mask of signals in the field `name`, like `SigBlk`: signal `n` is bit `n - 1`. 0 if the process is gone. */
export function mask(now: Status | undefined, name: string): bigint {
  return BigInt(`0x${now?.[name] || "0"}`);
}

/** True if a pause of which `now` is the status sleeps and handles INT and TERM. */
export function sleepsWithHandlers(now: Status | undefined): boolean {
  return (mask(now, "SigCgt") & HANDLED) === HANDLED && now?.["State"]?.startsWith("S") === true;
}

/**
 * True if a pause of which `now` is the status is ready: it sleeps with its handlers and blocks neither INT nor TERM.
 * For ours that is only so inside sigsuspend(2), which lifts the mask.
 */
export function showsReady(now: Status | undefined): boolean {
  return sleepsWithHandlers(now) && (mask(now, "SigBlk") & HANDLED) === 0n;
}

/**
 * True if `now` is the status of a program called pause that is ready. Before its execve(2) a container runtime may sleep in
 * the same way: Go handles all signals.
 */
export function showsPause(now: Status | undefined): boolean {
  return now?.["Name"] === "pause" && showsReady(now);
}

/** True if the pause `pid` is ready. */
export function isReady(pid: number): boolean {
  return showsReady(status(pid));
}

/** Context switches of all threads of process `pid` so far, voluntary and involuntary. Throws if it has ended. */
export function contextSwitches(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => status(Number(thread)));
  return threads.reduce(
    (sum, now) =>
      sum + Number(now?.["voluntary_ctxt_switches"] ?? 0) + Number(now?.["nonvoluntary_ctxt_switches"] ?? 0),
    0,
  );
}

/** A process as /proc/PID/stat shows it: proc_pid_stat(5). */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** One letter: R, S, D, T, Z … */
  readonly state: string;
}

/** The process `pid` in the /proc mounted at `proc`; undefined if it is gone. */
export function processAt(pid: number, proc = "/proc"): Process | undefined {
  const stat = textOf(`${proc}/${pid}/stat`);
  // The second field is the command in parentheses and may contain anything, a closing parenthesis too.
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (!state) return undefined;
  return { pid, parent: Number(parent), state };
}

/** All processes in the /proc mounted at `proc`, zombies included. */
export function processes(proc = "/proc"): Process[] {
  const pids = readdirSync(proc).filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => processAt(Number(pid), proc) ?? []);
}

/** The children of `pid`, zombies included. */
export function childrenOf(pid: number, proc = "/proc"): Process[] {
  return processes(proc).filter(({ parent }) => parent === pid);
}

/** The children of `pid`, their children, and so on, zombies included: each behind its parent. */
export function descendantsOf(pid: number, proc = "/proc"): Process[] {
  const all = processes(proc);
  const below = (parent: number): Process[] =>
    all.filter((one) => one.parent === parent).flatMap((child) => [child, ...below(child.pid)]);
  return below(pid);
}

/** True if the process `pid` has ended: it is gone, or a zombie. */
export function hasEnded(pid: number): boolean {
  return ["Z", "X", undefined].includes(processAt(pid)?.state);
}

/**
 * Waits until `condition` gives something other than undefined or false, at once or as a promise, and returns that.
 * Throws after `seconds` (generous: a busy machine must not fail what waits), naming `what` was waited for.
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  seconds = 60,
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const asked = performance.now();
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (asked > deadline) throw new Error(`waited ${seconds} s for ${what}`);
    // Looking must not slow down what is looked at: never more than half the time.
    await Bun.sleep(Math.max(1, performance.now() - asked));
  }
}
