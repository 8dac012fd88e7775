/** What can be given back to the kernel once JavaScript is over: nearly everything. */
import type { Block } from "./block.ts";
import {
  type Address,
  addressOf,
  baseOf,
  entriesOf,
  MADV_DONTNEED,
  pageSize,
  pointerAt,
  threadPointer,
} from "./libc.ts";
import type { Call } from "./native.ts";

/**
 * Bytes on either side of the thread pointer that stay: the thread's control block and thread-local storage, libc's
 * and the runtime's. On x86-64 storage lies below the pointer, on arm64 above. test/runtime.test.ts checks the size.
 */
export const THREAD_STORAGE = 32 * 1024;

/** Bytes below the first stack frame that may have been used and are given back. */
const STACK = 512 * 1024;

/**
 * The calls that unmap everything below libc, which is the executable, the JavaScript heap, compiled code and the
 * other libraries, and that give back the stack.
 *
 * What stays, of what lies there: the thread's storage, the page with the executable's copy of `stderr`, which libc
 * uses, and `block`.
 *
 * @returns no calls at all where memory is not laid out as expected (libc above all but the loader), or where another
 *   thread is alive, whose code must not vanish
 */
export function giveBack(block: Block): Call[] {
  const libc = baseOf(addressOf("sigsuspend"));
  const stackEnd = addressOf("__libc_stack_end");
  const threads = entriesOf("/proc/self/task") - 2;
  if (threads !== 1 || libc === 0 || baseOf(stackEnd) < libc) return [];

  const page = pageSize();
  const pageOf = (address: Address) => address - (address % page);
  const thread = threadPointer();
  const stderr = addressOf("stderr");
  const kept: [from: Address, to: Address][] = [
    [thread - THREAD_STORAGE, thread + THREAD_STORAGE],
    [stderr, stderr + 8],
    [block.start, block.end],
  ];
  kept.sort(([a], [b]) => a - b);

  const munmap = addressOf("munmap");
  const calls: Call[] = [];
  let from = 0;
  for (const [start, end] of [...kept, [libc, libc] as const]) {
    const to = Math.min(pageOf(start), libc);
    if (to > from) calls.push([munmap, from, to - from]);
    from = Math.max(from, pageOf(end - 1) + page);
  }
  const stack = pageOf(pointerAt(stackEnd));
  calls.push([addressOf("madvise"), stack - STACK, STACK, MADV_DONTNEED]);
  return calls;
}
