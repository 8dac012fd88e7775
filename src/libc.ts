/**
 * The binding to libc: every C function the container calls, and the layouts of what they take.
 *
 * The values and layouts are those of Linux with glibc on x86-64 and on arm64, where they are the same
 * (asm-generic/signal.h, bits/sigaction.h, bits/types/__sigset_t.h); both machines are little-endian.
 */
import { dlopen, type Pointer } from "bun:ffi";

/** Interrupt from the keyboard: signal(7). */
export const SIGINT = 2;
/** Termination: signal(7). */
export const SIGTERM = 15;
/** A child stopped, continued or died: signal(7). */
export const SIGCHLD = 17;

/** The default disposition, a null handler: bits/signum-generic.h. */
export const SIG_DFL = 0;
/** sigprocmask(2): add the set to the blocked signals (bits/sigaction.h). */
export const SIG_BLOCK = 0;
/** sigaction(2): no SIGCHLD for a child that stops or continues (bits/sigaction.h). */
export const SA_NOCLDSTOP = 1;
/** waitpid(2): return at once when no child has died (bits/waitflags.h). */
export const WNOHANG = 1;

/** File descriptor of standard output: stdin(3). */
export const STDOUT = 1;
/** File descriptor of standard error: stdin(3). */
export const STDERR = 2;

const { symbols } = dlopen("libc.so.6", {
  sigprocmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  sigsuspend: { args: ["ptr"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
  getpid: { args: [], returns: "i32" },
  psignal: { args: ["i32", "cstring"], returns: "void" },
  write: { args: ["i32", "cstring", "u64"], returns: "i64" },
  _exit: { args: ["i32"], returns: "void" },
});

/**
 * A `sigset_t`: 128 bytes, signal `n` is bit `n - 1`, counted from the lowest bit of the first word.
 * The kernel reads the first 8 bytes.
 */
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

/**
 * Blocks the signals of `set` in this thread and returns the mask as it was: sigprocmask(2).
 * It cannot fail: `SIG_BLOCK` is valid and both sets are memory of ours.
 */
export function block(set: SignalSet): SignalSet {
  const before = signalSet();
  symbols.sigprocmask(SIG_BLOCK, set, before);
  return before;
}

/**
 * Sets what `signal` does: sigaction(2).
 *
 * `struct sigaction` is 152 bytes: `sa_handler` at 0 (8 bytes), `sa_mask` at 8 (128), `sa_flags` at 136 (4),
 * `sa_restorer` at 144 (8, set by libc itself).
 *
 * @param handler address of a `void (*)(int)`, or `SIG_DFL`
 * @param mask signals that wait while the handler runs
 * @param flags `SA_*`
 * @returns 0, or -1 when the kernel refused
 */
export function sigaction(signal: number, handler: Pointer | typeof SIG_DFL, mask?: SignalSet, flags = 0): number {
  const action = new Uint32Array(38);
  action[0] = handler; // The low word: storing to a Uint32Array keeps a number's lowest 32 bits.
  action[1] = handler / 2 ** 32;
  if (mask) action.set(mask, 2);
  action[34] = flags;
  return symbols.sigaction(signal, action, null);
}

/**
 * Sleeps with `mask` as the blocked signals until a handler has run, then puts the mask back: sigsuspend(2).
 *
 * This is `pause(2)` with the mask swapped atomically. With pause itself a signal could come between
 * unblocking and sleeping, and its handler would enter JavaScript in the middle of something else, or
 * be over before the sleep began.
 */
export function sigsuspend(mask: SignalSet): void {
  symbols.sigsuspend(mask);
}

/** Reaps one child that has died, whichever it is: waitpid(2) with -1, no status, `WNOHANG`. Returns its PID, 0 when all children live, -1 when there are none. */
export function reapOne(): number {
  return symbols.waitpid(-1, null, WNOHANG);
}

/** This process's ID in its own PID namespace: getpid(2). */
export function getpid(): number {
  return symbols.getpid();
}

/** Writes `prefix`, a colon, a space, the text of `signal` (`Terminated`) and a newline to standard error: psignal(3). */
export function psignal(signal: number, prefix: string): void {
  symbols.psignal(signal, prefix);
}

/** Writes `text`, which must be ASCII, to `fd`: write(2). Like a C program's printf it leaves an error unmentioned: there is nowhere to say it. */
export function write(fd: number, text: string): void {
  symbols.write(fd, text, text.length);
}

/** Ends the process at once with status `code` (0 to 255): _exit(2). */
export function exit(code: number): never {
  symbols._exit(code);
  throw new Error("unreachable: _exit(2) does not return");
}
