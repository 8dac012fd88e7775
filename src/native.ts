/**
 * Calls of libc that follow one another without JavaScript.
 *
 * Each call is a context of makecontext(3) whose successor is the next call's. The first is entered as the last exit
 * handler of exit(3), so that the runtime's thread-local destructors are over: a later exit(3) must not find them.
 */
import type { Block } from "./block.ts";
import { type Address, addressOf, atExit, exit, getcontext, makecontext } from "./libc.ts";

/** A call: the address of a function, and up to five arguments. */
export type Call = readonly [f: Address, a?: Address, b?: Address, c?: Address, d?: Address, e?: Address];

/**
 * Bytes of a `ucontext_t` (sys/ucontext.h), rounded up: 968 on x86-64, 4,560 on arm64. On both `uc_link` is at 8,
 * `uc_stack.ss_sp` at 16 and `uc_stack.ss_size` at 32.
 */
const CONTEXT_SIZE = process.arch === "arm64" ? 4608 : 1024;

/** Bytes of stack for a call that does nothing but a system call. */
const SMALL_STACK = 512;

/**
 * Bytes of stack for the wait. Signal handlers run on it: a frame is 4 to 12 KB on a processor with wide vector
 * registers, and psignal(3) takes a buffer of 8 KB.
 */
const WAIT_STACK = 64 * 1024;

/**
 * Leaves JavaScript for good: makes `calls` one after another. The last of them should not return.
 *
 * @param block holds all that the calls need
 * @param wait which of the calls is the one that signal handlers interrupt
 */
export function leave(block: Block, calls: readonly Call[], wait: Call): never {
  let next: Address = 0;
  for (let index = calls.length - 1; index >= 0; index--) {
    const call = calls[index] as Call;
    const size = call === wait ? WAIT_STACK : SMALL_STACK;
    const context = block.reserve(CONTEXT_SIZE);
    getcontext(context);
    block.store(context + 8, next);
    block.store(context + 16, block.reserve(size));
    block.store(context + 32, size);
    makecontext(context, call[0], call[1], call[2], call[3], call[4], call[5]);
    next = context;
  }
  atExit(addressOf("setcontext"), next);
  exit(0);
}
