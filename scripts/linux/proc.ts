/** Observes processes through /proc: proc(5). */
import { readdirSync, readFileSync } from "node:fs";

/** The handled signals INT, TERM and CHLD as the SigCgt and SigBlk masks show them: bits 1, 14 and 16. */
export const HANDLED_MASK = 0x14002n;

/** `/proc/PID/status` by field name, values as the kernel writes them; undefined when there is no such process. */
export function status(pid: number): Readonly<Record<string, string>> | undefined {
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

/** A signal mask of `/proc/PID/status` (`SigCgt`, `SigBlk`, …) as a number; 0 when the process is gone. */
export function mask(pid: number, field: string): bigint {
  return BigInt(`0x${status(pid)?.[field] || "0"}`);
}

/**
 * Whether a pause is ready: it has caught INT, TERM and CHLD, blocks none of them and sleeps. For ours that is
 * only so inside sigsuspend(2), which is where the mask is lifted.
 */
export function isReady(pid: number): boolean {
  const now = status(pid);
  return (
    now !== undefined &&
    (BigInt(`0x${now["SigCgt"]}`) & HANDLED_MASK) === HANDLED_MASK &&
    (BigInt(`0x${now["SigBlk"]}`) & HANDLED_MASK) === 0n &&
    now["State"]?.startsWith("S") === true
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
