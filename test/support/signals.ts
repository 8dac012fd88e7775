/** What a parent hands down of signals: sets, masks and dispositions. */
import { dlopen } from "bun:ffi";
import { SIGPIPE, SIGXFSZ } from "../../scripts/linux/signals.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  raise: { args: ["i32"], returns: "i32" },
  sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  sigprocmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
});

/** sigprocmask(2): add the set to the blocked signals (bits/sigaction.h). */
const SIG_BLOCK = 0;

/** What Bun ignores in its own process, and a program that is started must not. */
export const IGNORED_BY_BUN: readonly number[] = [SIGPIPE, SIGXFSZ];

/** A `sigset_t`: 128 bytes, signal `n` is bit `n - 1`, counted from the lowest bit of the first word. */
export type SignalSet = Uint32Array<ArrayBuffer>;

/** Makes a `sigset_t` that holds `signals` (1 to 64) and no other: sigemptyset(3), sigaddset(3). */
export function signalSet(...signals: readonly number[]): SignalSet {
  const set = new Uint32Array(32);
  for (const signal of signals) {
    const bit = signal - 1;
    set[bit >> 5] = (set[bit >> 5] ?? 0) | (1 << (bit & 31));
  }
  return set;
}

/** Blocks `signals` in this thread: sigprocmask(2). It cannot fail. */
export function block(signals: readonly number[]): void {
  libc.sigprocmask(SIG_BLOCK, signalSet(...signals), null);
}

/**
 * Sets what `signal` does to `SIG_DFL` (0) or `SIG_IGN` (1): sigaction(2), whose `struct sigaction` is 152 bytes with
 * `sa_handler` at 0. Returns 0, or -1 when the kernel refused.
 */
export function disposition(signal: number, handler: 0 | 1): number {
  const action = new Uint32Array(38);
  action[0] = handler;
  return libc.sigaction(signal, action, null);
}

/** Sends `signal` to this thread: raise(3). If it is blocked it waits. */
export function raise(signal: number): void {
  libc.raise(signal);
}
