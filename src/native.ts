/**
 * Calls of libc that follow one another without JavaScript.
 *
 * Each call is a context of makecontext(3) whose successor is the next call's. The first is entered as the last exit
 * handler of exit(3), so that Bun's thread-local destructors are over: a later exit(3) must not find them.
 */
import type { Arena } from "./arena.ts";
import { read } from "./ffi.ts";
import { type Address, addressOf, atExit, exit, libc, STDERR, write } from "./libc.ts";

/** A call: the address of a function, and up to five arguments. */
export type Call = readonly [f: Address, a?: Address, b?: Address, c?: Address, d?: Address, e?: Address];

/**
 * Bytes of a `ucontext_t` (sys/ucontext.h), rounded up: 968 on x86-64, 4,560 on arm64. On both `uc_link` is at 8,
 * and `uc_stack` follows: `ss_sp` at 16, `ss_flags` at 24, `ss_size` at 32.
 */
const CONTEXT_SIZE = process.arch === "arm64" ? 4608 : 1024;

/** Offset of its `uc_sigmask`, the signals that are blocked meanwhile, of which the kernel reads 8 bytes. */
const UC_SIGMASK = process.arch === "arm64" ? 40 : 296;

/** Bytes of stack for a call that does nothing but a system call. */
const SMALL_STACK = 256;
/** The same for one at which a thread could be cancelled, such as write(2): libc does more there. */
const LARGER_STACK = 512;

/** Reserves room for the contexts of `count` calls, each with a stack of `size` bytes. */
function reserve(arena: Arena, count: number, size: number): Address {
  return arena.reserve(count * (CONTEXT_SIZE + size));
}

/**
 * Makes contexts at `block` that make `calls` one after another, each on a stack of `size` bytes, and go on with the
 * context `next` (0: with exit(3)). Returns the one to begin with.
 *
 * @param stack for a single call, a stack that is elsewhere
 */
function chain(block: Address, calls: readonly Call[], size: number, next: Address, stack: Address = 0): Address {
  const { getcontext, makecontext, wmemset } = libc;
  const step = CONTEXT_SIZE + (stack === 0 ? size : 0);
  let first = next;
  for (let index = calls.length - 1; index >= 0; index--) {
    const call = calls[index] as Call;
    const context = block + index * step;
    const home = stack === 0 ? context + CONTEXT_SIZE : stack;
    getcontext(context);
    // uc_link, ss_sp and ss_size; ss_flags is 0.
    wmemset(context + 8, first | 0, 1);
    wmemset(context + 12, (first / 2 ** 32) | 0, 1);
    wmemset(context + 16, home | 0, 1);
    wmemset(context + 20, (home / 2 ** 32) | 0, 1);
    wmemset(context + 32, size, 1);
    makecontext(context, call[0], 5, call[1] ?? 0, call[2] ?? 0, call[3] ?? 0, call[4] ?? 0, call[5] ?? 0);
    first = context;
  }
  return first;
}

/** Reserves room for the contexts of `count` calls that end the process. */
export function reserveEnding(arena: Arena, count: number): Address {
  return reserve(arena, count, LARGER_STACK);
}

/**
 * Makes contexts at `block` that make `calls` and then exit(3). A call that needs more stack than it has overflows into the
 * contexts below it, which are finished by then, and into what lies in front of the block. Returns the one to begin with.
 */
export function ending(block: Address, calls: readonly Call[]): Address {
  return chain(block, calls, LARGER_STACK, 0);
}

/** Said of a thread that Bun or a preloaded library has started: the filter and what else the lock takes away is a thread's own. */
const COMPANY = "Warning: another thread runs beside pause, unlocked\n";

/**
 * Leaves JavaScript for good: makes the calls of `giveBack`, gives the workspace back, waits, and if the wait ends, makes
 * the calls of `end`, the last of which should not return.
 *
 * With a second thread, whose memory must stay, nothing is given back, and a line says that it is not locked. libc notes
 * in `__libc_single_threaded` (sys/single_threaded.h) that there has never been one. That is looked up last of all: any
 * earlier allocation may make JavaScriptCore start one to collect garbage.
 *
 * @param arena holds all that is needed from the wait on
 * @param workspace holds what is needed until then; it stays if there is nothing to give back
 * @param mask the address of the signals that are blocked while `wait` is called, if they are not those blocked now. Only
 *   if there is nothing to give back: a signal that is let in then finds the stack of the process, not that of a call
 */
export function leave(
  arena: Arena,
  workspace: Arena,
  giveBack: readonly Call[],
  wait: Call,
  mask: Address,
  end: readonly Call[],
): never {
  const { start, end: top } = arena.lower;
  const finish = ending(reserveEnding(arena, end.length), end);
  const sleep = chain(reserve(arena, 1, 0), [wait], top - start, finish, start);
  if (mask !== 0) {
    libc.wmemset(sleep + UC_SIGMASK, read.i32(mask), 1);
    libc.wmemset(sleep + UC_SIGMASK + 4, read.i32(mask + 4), 1);
  }
  const last: Call = [addressOf("munmap"), workspace.start, workspace.end - workspace.start];
  const leaving = chain(reserve(arena, 1, SMALL_STACK), [last], SMALL_STACK, sleep);
  const first = chain(reserve(workspace, giveBack.length, SMALL_STACK), giveBack, SMALL_STACK, leaving);
  const setcontext = addressOf("setcontext");
  const isAlone = read.u8(addressOf("__libc_single_threaded")) !== 0;
  if (!isAlone) write(STDERR, COMPANY);
  atExit(setcontext, isAlone && giveBack.length > 0 ? first : sleep);
  exit(0);
}
