/** The signals of the contract: when they are blocked, and what they do. */
import type { Arena } from "./arena.ts";
import { type Address, blockSignals, SIGCHLD, SIGINT, SIGNAL_SET, SIGTERM, sigaction } from "./libc.ts";

/** The signals that have a handler, as the first 4 bytes of a `sigset_t`. Each is blocked except during the wait, and while any of the handlers runs. */
const HANDLED = (1 << (SIGINT - 1)) | (1 << (SIGTERM - 1)) | (1 << (SIGCHLD - 1));

/**
 * Blocks SIGINT, SIGTERM and SIGCHLD, which then wait for the init loop (a blocked signal is kept even for PID 1).
 *
 * All others are as they were inherited: Bun is sealed off from them (scripts/executable/seal.ts).
 *
 * @returns the address of the inherited mask, which is the one to sleep with
 */
export function holdSignals(arena: Arena): Address {
  const handled = arena.reserve(SIGNAL_SET);
  arena.store(handled, [HANDLED]);
  const inherited = arena.reserve(SIGNAL_SET);
  blockSignals(handled, inherited);
  return inherited;
}

/**
 * Makes `signal` call the function at `handler`, with all the handled signals blocked: sigaction(2).
 *
 * @param action an `ACTION` of zeros, or one that this function has used before
 * @param flags `SA_*`
 * @returns 0, or -1 when the kernel refused
 */
export function handle(arena: Arena, action: Address, signal: number, handler: Address, flags = 0): number {
  arena.store(action, [handler, HANDLED]);
  arena.store(action + 136, [flags]);
  return sigaction(signal, action);
}
