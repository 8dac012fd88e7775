/** The signals of Linux by number: signal(7). */
import { constants } from "node:os";

/** Those that the scripts and tests call by name. */
export const { SIGABRT, SIGCHLD, SIGCONT, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGSEGV, SIGSTOP, SIGTERM, SIGXFSZ } =
  constants.signals;

/** The signals that Bun ignores in its own process. A program under test must not inherit that. */
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

/** All, 1 to 64 (asm/signal.h), without `left` and SIGCANCEL and SIGSETXID (32, 33), which glibc keeps for itself: nptl(7). */
function allBut(...left: readonly number[]): readonly number[] {
  const numbers = Array.from({ length: 64 }, (_, index) => index + 1);
  return numbers.filter((number) => ![32, 33, ...left].includes(number));
}

/** The signals that a program can handle, ignore and block: all but KILL and STOP. */
export const SETTABLE: readonly number[] = allBut(SIGKILL, SIGSTOP);

/** The signals that must not end a PID 1 when a process in its PID namespace sends them: all but INT and TERM. */
export const HARMLESS_INSIDE: readonly number[] = allBut(SIGINT, SIGTERM);

/** The signals that must neither end nor stop a PID 1, wherever they are sent from: KILL and STOP work from outside. */
export const HARMLESS: readonly number[] = allBut(SIGINT, SIGTERM, SIGKILL, SIGSTOP);
