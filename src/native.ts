/**
 * Calls of libc that follow one another without JavaScript.
 *
 * Each call is a context of makecontext(3) whose successor is the next call's. The first is entered as the last exit
 * handler of exit(3), so that Bun's thread-local destructors are over: a later exit(3) must not find them.
 */
import type { Arena } from "./arena.ts";
import { type Address, addressOf, atExit, exit, makers } from "./libc.ts";
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

/**
 * Makes contexts in `arena` that make `calls` one after another, each on a stack of `size` bytes, and go on with the
 * context `next` (0: with exit(3)). Returns the one to begin with.
 *
 * @param stack for a single call, a stack that is elsewhere
 */
function chain(arena: Arena, calls: readonly Call[], size: number, next: Address, stack: Address = 0): Address {
  // libc's own: functions around them would be called often enough to be compiled.
  const { getcontext, makecontext, wmemset } = makers();
  const step = CONTEXT_SIZE + (stack === 0 ? size : 0);
  const block = arena.reserve(calls.length * step);
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

/**
 * Makes contexts that end the process: `calls`, of which the last may need more stack than it has. Below it lie only
 * contexts that are over by then, 3 KB on x86-64. Returns the one to begin with; behind the last is exit(3).
 */
export function ending(arena: Arena, calls: readonly Call[]): Address {
  return chain(arena, calls, LARGER_STACK, 0);
}

/**
 * Reads whether this process has never had a second thread: libc, from 2.32 on, notes it in `__libc_single_threaded`
 * (sys/single_threaded.h), whose address is `flag`. False if there is no such variable.
 */
function isSingleThreaded(flag: Address): boolean {
  return flag !== 0 && byteAt(flag) !== 0;
}

/**
 * Leaves JavaScript for good: makes the calls of `giveBack`, gives the workspace back, waits, and if the wait ends, makes
 * the calls of `end`, the last of which should not return.
 *
 * Whether this is the only thread is looked up last of all: any earlier allocation may make JavaScriptCore start one to
 * collect garbage. Its memory must stay, so then nothing is given back.
 *
 * @param arena holds all that is needed from the wait on
 * @param workspace holds what is needed until then
 */
export function leave(
  arena: Arena,
  workspace: Arena,
  giveBack: readonly Call[],
  wait: Call,
  end: readonly Call[],
): never {
  const { stack } = arena;
  const sleep = chain(arena, [wait], stack.end - stack.start, ending(arena, end), stack.start);
  const last: Call = [addressOf("munmap"), workspace.start, workspace.end - workspace.start];
  const first = chain(workspace, giveBack, SMALL_STACK, chain(arena, [last], SMALL_STACK, sleep));
  const setcontext = addressOf("setcontext");
  const flag = addressOf("__libc_single_threaded");
  atExit(setcontext, isSingleThreaded(flag) ? first : sleep);
  exit(0);
}
