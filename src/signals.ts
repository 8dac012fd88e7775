/** The signals of the contract: they are blocked except while waiting. */
import type { Arena } from "./arena.ts";
import { read } from "./ffi.ts";
import { type Address, libc, SIGCHLD, SIGINT, SIGTERM } from "./libc.ts";

/** SIGINT, SIGTERM and SIGCHLD as the first 4 bytes of a `sigset_t`. */
export const HELD = (1 << (SIGINT - 1)) | (1 << (SIGTERM - 1)) | (1 << (SIGCHLD - 1));

/** Bytes of a `sigset_t`: signal `n` is bit `n - 1`, counted from the lowest bit of the first. The kernel reads the first 8. */
export const SIGNAL_SET = 128;

/**
 * Bytes of a `struct sigaction`: `sa_handler` at 0 (8 bytes), `sa_mask` at 8 (128), `sa_flags` at 136 (4),
 * `sa_restorer` at 144 (8, set by libc itself).
 */
const ACTION = 152;

/** sigprocmask(2): add the set to the blocked signals (bits/sigaction.h). */
const SIG_BLOCK = 0;
/** getauxval(3), elf.h: where the program begins. */
const AT_ENTRY = 9;
/** Bytes from there to what the build's entry point stores: the set that it blocks, and the address of the mask before (8 bytes each). */
export const ENTRY_DATA = 48;

/**
 * Blocks SIGINT, SIGTERM and SIGCHLD: a blocked signal is kept, even for PID 1. The executable's entry point
 * (scripts/executable/entry.ts) has done it already, and has stored the mask before it; a `bun` that runs the sources has not.
 *
 * All others are as they were inherited: Bun is sealed off from them (scripts/executable/seal.ts).
 *
 * Returns the address of the inherited mask, which is the one to sleep with. Throws where a filter refuses the call, which
 * every later step needs: setcontext(3) would fail, and with it the wait.
 */
export function holdSignals(arena: Arena): Address {
  const held = arena.reserve(SIGNAL_SET);
  arena.store(held, [HELD]);
  const inherited = arena.reserve(SIGNAL_SET);
  if (libc.sigprocmask(SIG_BLOCK, held, inherited) < 0)
    throw new Error("cannot hold signals back: a filter refuses sigprocmask(2)");
  const data = Number(libc.getauxval(AT_ENTRY)) + ENTRY_DATA;
  if (read.ptr(data) === HELD) {
    const stored = read.ptr(data + 8);
    libc.wmemset(inherited, read.i32(stored), 1);
    libc.wmemset(inherited + 4, read.i32(stored + 4), 1);
  }
  return inherited;
}

/**
 * Makes `signal` call the function at `handler`, or SIG_IGN, with the held signals blocked: sigaction(2).
 *
 * @param flags `SA_*`
 * @returns 0, or -1 when the kernel refused
 */
export function handle(arena: Arena, signal: number, handler: Address, flags = 0): number {
  const action = arena.reserve(ACTION);
  arena.store(action, [handler, HELD]);
  arena.store(action + 136, [flags]);
  return libc.sigaction(signal, action, 0);
}
