/** What a parent hands down of signals: masks and dispositions, and what is pending. */
import { dlopen } from "bun:ffi";
import { signalSet } from "../../scripts/linux/signals.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  raise: { args: ["i32"], returns: "i32" },
  sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  sigprocmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
});

/** sigprocmask(2): add the set to the blocked signals (bits/sigaction.h). */
const SIG_BLOCK = 0;

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
