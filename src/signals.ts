/** The state a C program finds its signals in: ours held back, the runtime's own handlers taken out. */
import { block, SIG_DFL, SIGCHLD, SIGINT, SIGTERM, type SignalSet, sigaction, signalSet } from "./libc.ts";

/**
 * The signals whose disposition the runtime sets for itself before JavaScript runs: ILL, TRAP, ABRT, BUS,
 * FPE and SEGV (its crash reporter), PWR (thread suspension), and PIPE and XFSZ, which it ignores.
 * Numbers from signal(7); test/runtime.test.ts compares them with the pinned runtime.
 */
export const RUNTIME_SIGNALS = [4, 5, 6, 7, 8, 11, 13, 25, 30] as const;

/** The signals that have a handler. Each is blocked but for the wait and while any of the handlers runs. */
export const HANDLED: SignalSet = signalSet(SIGINT, SIGTERM, SIGCHLD);

/**
 * Blocks SIGINT, SIGTERM and SIGCHLD, which then wait for the init loop (a blocked signal is kept even for
 * PID 1), and gives the signals of the runtime back their default action.
 *
 * Only those: asking for all 64 would undo an ignore that was inherited.
 *
 * @returns the mask as inherited, which is the one to sleep with
 */
export function holdSignals(): SignalSet {
  const inherited = block(HANDLED);
  for (const signal of RUNTIME_SIGNALS) sigaction(signal, SIG_DFL);
  return inherited;
}
