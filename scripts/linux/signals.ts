/** The signals of Linux: those that are called by name, sets of them, and the lists of all that can be sent. Numbers are those of signal(7). */
import { constants } from "node:os";

const { signals } = constants;

/** Ends a pause: a handler of its own. */
export const SIGINT: number = signals.SIGINT;
/** Ends what it is sent to. Nothing can be done about it. */
export const SIGKILL: number = signals.SIGKILL;
/** Sent for a write to a pipe without a reader. */
export const SIGPIPE: number = signals.SIGPIPE;
/** Ends a pause: a handler of its own. */
export const SIGTERM: number = signals.SIGTERM;
/** Tells that a child has died, stopped or gone on. */
export const SIGCHLD: number = signals.SIGCHLD;
/** Lets what is stopped go on. */
export const SIGCONT: number = signals.SIGCONT;
/** Stops what it is sent to. Nothing can be done about it. */
export const SIGSTOP: number = signals.SIGSTOP;
/** Sent for a file that would become too large. */
export const SIGXFSZ: number = signals.SIGXFSZ;

/** What Bun ignores in its own process, and a program that is started must not. */
export const IGNORED_BY_BUN: readonly number[] = [SIGPIPE, SIGXFSZ];

/**
 * Makes a `sigset_t` that holds `signals` (1 to 64) and no other: sigemptyset(3), sigaddset(3). It is 128 bytes; signal
 * `n` is bit `n - 1`, counted from the lowest bit of the first word.
 */
export function signalSet(...signals: readonly number[]): Uint32Array {
  const set = new Uint32Array(32);
  for (const signal of signals) {
    const bit = signal - 1;
    set[bit >> 5] = (set[bit >> 5] ?? 0) | (1 << (bit & 31));
  }
  return set;
}

/** The highest number: `_NSIG` of asm/signal.h, less one. */
const LAST = 64;
/** SIGCANCEL and SIGSETXID, which glibc keeps for itself: nptl(7). */
const OF_LIBC: readonly number[] = [32, 33];

/** 1 to 64 but for those that glibc keeps, without `left`. */
function allBut(...left: readonly number[]): readonly number[] {
  const numbers = Array.from({ length: LAST }, (_, index) => index + 1);
  return numbers.filter((number) => !OF_LIBC.includes(number) && !left.includes(number));
}

/** All that a program can handle, ignore and block: all but KILL and STOP. */
export const SETTABLE: readonly number[] = allBut(SIGKILL, SIGSTOP);

/** What must not end a pause that is PID 1 if a process of its own PID namespace sends it: all but INT and TERM. */
export const HARMLESS_INSIDE: readonly number[] = allBut(SIGINT, SIGTERM);

/** What must not end or stop a pause that is PID 1, wherever it is sent from. From outside KILL and STOP have their usual effect. */
export const HARMLESS: readonly number[] = allBut(SIGINT, SIGTERM, SIGKILL, SIGSTOP);
