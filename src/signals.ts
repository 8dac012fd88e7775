/** The signals of the contract, and the moment from which they are held back. */
import { block, SIGCHLD, SIGINT, SIGTERM, type SignalSet, signalSet } from "./libc.ts";

/** The signals that have a handler. Each is blocked but for the wait and while any of the handlers runs. */
export const HANDLED: SignalSet = signalSet(SIGINT, SIGTERM, SIGCHLD);

/**
 * Blocks SIGINT, SIGTERM and SIGCHLD, which then wait for the init loop (a blocked signal is kept even for PID 1).
 *
 * All others are as they were inherited: the runtime is sealed off from them (scripts/seal.ts).
 *
 * @returns the mask as inherited, which is the one to sleep with
 */
export function holdSignals(): SignalSet {
  return block(HANDLED);
}
