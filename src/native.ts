/**
 * Calls of libc that follow one another without JavaScript.
 *
 * Each call is a context of makecontext(3) whose successor is the next call's. The first is entered as the last exit
 * handler of exit(3), so that Bun's thread-local destructors are over: a later exit(3) must not find them.
 */
import type { Arena } from "./arena.ts";
import { type Address, addressOf, atExit, exit, getcontext, makecontext } from "./libc.ts";
import { byteAt } from "./memory.ts";

/** A call: the address of a function, and up to five arguments. */
export type Call = readonly [f: Address, a?: Address, b?: Address, c?: Address, d?: Address, e?: Address];

/**
 * Bytes of a `ucontext_t` (sys/ucontext.h), rounded up: 968 on x86-64, 4,560 on arm64. On both `uc_link` is at 8,
 * and `uc_stack` follows: `ss_sp` at 16, `ss_flags` at 24, `ss_size` at 32.
 */
const CONTEXT_SIZE = process.arch === "arm64" ? 4608 : 1024;

/** Bytes of stack for a call that does nothing but a system call. */
const SMALL_STACK = 256;
/** The same for one at which a thread could be cancelled, such as write(2): libc does more there. */
const LARGER_STACK = 512;

/** Makes a context that calls `call` on the stack of `size` bytes at `stack`, and goes on with the context `next` (0: none). */
function contextOf(arena: Arena, call: Call, stack: Address, size: number, next: Address): Address {
  const context = arena.reserve(CONTEXT_SIZE);
  getcontext(context);
  // uc_link, ss_sp, ss_flags, ss_size.
  arena.store(context + 8, [next, stack, 0, size]);
  makecontext(context, call[0], call[1], call[2], call[3], call[4], call[5]);
  return context;
}

/** Makes contexts that make `calls` one after another, each on a stack of `size` bytes, and go on with `next`. Returns the one to begin with. */
function chain(arena: Arena, calls: readonly Call[], size: number, next: Address): Address {
  let first = next;
  for (let index = calls.length - 1; index >= 0; index--) {
    first = contextOf(arena, calls[index] as Call, arena.reserve(size), size, first);
  }
  return first;
}

/**
 * Reads whether this process has never had a second thread: libc, from 2.32 on, notes it in `__libc_single_threaded`
 * (sys/single_threaded.h), whose address is `flag`. False if there is no such variable.
 */
function isSingleThreaded(flag: Address): boolean {
  return flag !== 0 && byteAt(flag) !== 0;
}

/**
 * Leaves JavaScript for good: makes the calls of `giveBack`, waits, and if the wait ends, makes those of `end`, the
 * last of which should not return.
 *
 * Whether this is the only thread is looked up last of all: any allocation before may have JavaScriptCore start one to
 * collect garbage. Its memory must stay, so then `giveBack` is left out.
 *
 * @param arena holds all that the calls need
 */
export function leave(arena: Arena, giveBack: readonly Call[], wait: Call, end: readonly Call[]): never {
  const { stack } = arena;
  const sleep = contextOf(arena, wait, stack.start, stack.size, chain(arena, end, LARGER_STACK, 0));
  const first = chain(arena, giveBack, SMALL_STACK, sleep);
  const setcontext = addressOf("setcontext");
  const flag = addressOf("__libc_single_threaded");
  atExit(setcontext, isSingleThreaded(flag) ? first : sleep);
  exit(0);
}
