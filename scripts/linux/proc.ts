/** Observes processes through /proc: proc(5). */
import { readdirSync, readFileSync } from "node:fs";

/** The signals that a pause handles, INT, TERM and CHLD, as the kernel writes a mask of them (`SigCgt`): bits 1, 14 and 16. */
export const THREE_HANDLERS = "0000000000014002";
/** The mask of no signal. */
export const NO_SIGNALS = "0000000000000000";

/** Fields of `/proc/PID/status` by name, values as the kernel writes them. */
export type Status = Readonly<Record<string, string>>;

/** The status of process `pid`; undefined when there is no such process. */
export function status(pid: number): Status | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return undefined;
  }
  return Object.fromEntries(
    text.split("\n").map((line) => {
      const [key = "", value = ""] = line.split(/:\s*/, 2);
      return [key, value];
    }),
  );
}

/** The mask of signals in the field `name` (`SigCgt`, `SigBlk`, …) as a number: signal `n` is bit `n - 1`. 0 if the process is gone. */
export function mask(now: Status | undefined, name: string): bigint {
  return BigInt(`0x${now?.[name] || "0"}`);
}

/** Whether a pause of which `now` is the status catches INT, TERM and CHLD and sleeps. */
export function sleepsWithHandlers(now: Status | undefined): boolean {
  const handled = BigInt(`0x${THREE_HANDLERS}`);
  return (mask(now, "SigCgt") & handled) === handled && now?.["State"]?.startsWith("S") === true;
}

/**
 * Whether a pause of which `now` is the status is ready: it sleeps with its handlers and blocks none of their signals.
 * For ours that is only so inside sigsuspend(2), which is where the mask is lifted.
 */
export function showsReady(now: Status | undefined): boolean {
  return sleepsWithHandlers(now) && (mask(now, "SigBlk") & BigInt(`0x${THREE_HANDLERS}`)) === 0n;
}

/** Whether the pause `pid` is ready. */
export function isReady(pid: number): boolean {
  return showsReady(status(pid));
}

/** Context switches of all threads of process `pid` so far, wanted and unwanted. Throws if it has ended. */
export function contextSwitches(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => status(Number(thread)));
  return threads.reduce(
    (sum, now) =>
      sum + Number(now?.["voluntary_ctxt_switches"] ?? 0) + Number(now?.["nonvoluntary_ctxt_switches"] ?? 0),
    0,
  );
}

/** A process seen as somebody's child. */
export interface Child {
  readonly pid: number;
  /** One letter: R, S, D, T, Z … */
  readonly state: string;
}

/** The children of `pid`, zombies included, found by the parent's ID in every `/proc/N/stat`. */
export function childrenOf(pid: number): Child[] {
  const children: Child[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      // The second field is the command in parentheses and may hold anything, a closing parenthesis too.
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state && Number(parent) === pid) children.push({ pid: Number(name), state });
    } catch {
      // It ended while we looked.
    }
  }
  return children;
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
