/** What can be given back to the kernel once JavaScript is over: nearly everything. */
import type { Block } from "./block.ts";
import { type Address, addressOf, libraryBase, MADV_DONTNEED, pageSize, pointerAt, threadPointer } from "./libc.ts";
import type { Call } from "./native.ts";

/**
 * Bytes on either side of the thread pointer that stay: the thread's control block and thread-local storage, libc's
 * and the runtime's. On x86-64 storage lies below the pointer, on arm64 above. test/unit/runtime.test.ts checks the size.
 */
export const THREAD_STORAGE = 32 * 1024;

/** Bytes below the first stack frame that may have been used and are given back. */
const STACK = 512 * 1024;

/**
 * The calls that unmap everything below libc, which is the executable, the JavaScript heap, compiled code and the
 * other libraries, and that give back the stack.
 *
 * What stays, of what lies there: the page with the executable's copy of `stderr`, which libc uses, `block`, and the
 * thread's storage.
 *
 * @returns no calls at all where memory is not laid out as expected
 */
export function giveBack(block: Block): Call[] {
  const page = pageSize();
  // By the lowest bits: a remainder of numbers this large is a call of fmod(3), the only one into libm.
  const pageOf = (address: Address) => address - (address & (page - 1));
  const pageAfter = (address: Address) => pageOf(address + page - 1);
  const libc = libraryBase(addressOf("exit"));
  const loader = addressOf("__libc_stack_end"); // A variable of the loader's.
  const stderr = pageOf(addressOf("stderr"));
  const start = pageOf(block.start);
  const end = pageAfter(block.end);
  // The loader puts the thread's storage below libc, or into a gap above it, where nothing is unmapped.
  const pointer = threadPointer();
  const thread = pointer < libc ? pointer : libc;
  const storageStart = pageOf(thread - THREAD_STORAGE);
  const storageEnd = pageAfter(thread + THREAD_STORAGE);
  if (!(stderr + page < start && end < storageStart && libc < loader)) return [];

  const munmap = addressOf("munmap");
  const stack = pageOf(pointerAt(loader));
  const calls: Call[] = [
    [munmap, 0, stderr],
    [munmap, stderr + page, start - stderr - page],
    [munmap, end, storageStart - end],
    [addressOf("madvise"), stack - STACK, STACK, MADV_DONTNEED],
  ];
  if (storageEnd < libc) calls.push([munmap, storageEnd, libc - storageEnd]);
  return calls;
}
