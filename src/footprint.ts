/** What can be given back to the kernel once JavaScript is over: nearly everything. */
import type { Arena } from "./arena.ts";
import { read } from "./ffi.ts";
import { type Address, addressOf, MADV_DONTNEED, pageSize, threadPointer } from "./libc.ts";
import { pointerAt } from "./memory.ts";
import type { Call } from "./native.ts";

/**
 * Bytes on either side of the thread pointer that stay mapped: the thread's control block and thread-local storage, libc's
 * and Bun's. On x86-64 storage lies below the pointer, on arm64 above. test/unit/bun.test.ts checks the size.
 */
export const THREAD_STORAGE = 32 * 1024;

/**
 * Bytes of thread-local storage that are Bun's alone: the executable's comes first, right at the thread pointer (x86-64:
 * below it; arm64: above it and the 16 bytes that it points to). From the System V ABI's supplements for ELF and
 * thread-local storage. test/support/cut.ts checks, on both platforms, that Bun's is as large.
 */
export const BUN_STORAGE = 20 * 1024;

/** Bytes below the first stack frame that may have been used and are given back. */
const STACK = 512 * 1024;

/**
 * Where the library begins in memory that `address` lies in: of all that the loader has loaded, what begins last before
 * it. `_r_debug` is its `struct r_debug`, with the first `struct link_map` at 8; each has `l_addr`, where it begins, at 0
 * and the next one at 24 (link.h). Reads with Bun's own functions: one of ours, called for each library, might be called
 * often enough to be compiled.
 */
function libraryBase(address: Address): Address {
  let base = 0;
  for (let map: Address = read.ptr(addressOf("_r_debug") + 8); map !== 0; map = read.ptr(map + 24)) {
    const start = read.ptr(map);
    if (start <= address && start > base) base = start;
  }
  return base;
}

/**
 * The calls that unmap everything below libc, which is the executable, the JavaScript heap, compiled code and the
 * other libraries, and that give back the stack and what Bun has stored for the thread.
 *
 * What stays, of what lies there: the arena, and libc's part of the thread's storage.
 *
 * @returns no calls at all where memory is not laid out as expected; also where libc uses a `stderr` of the executable's,
 *   which is so as long as it is not sealed (scripts/build/seal.ts)
 */
export function giveBack(arena: Arena): Call[] {
  const page = pageSize();
  // By the lowest bits: a remainder of numbers this large is a call of fmod(3), the only one into libm.
  const pageOf = (address: Address) => address - (address & (page - 1));
  const pageAfter = (address: Address) => pageOf(address + page - 1);
  const libc = libraryBase(addressOf("exit"));
  const loader = addressOf("__libc_stack_end"); // A variable of the loader's.
  const start = pageOf(arena.start);
  const end = pageAfter(arena.end);
  // The loader puts the thread's storage below libc, or into a gap above it, where nothing is unmapped.
  const pointer = threadPointer();
  const thread = pointer < libc ? pointer : libc;
  const storageStart = pageOf(thread - THREAD_STORAGE);
  const storageEnd = pageAfter(thread + THREAD_STORAGE);
  const stack = pageOf(pointerAt(loader));
  // The arena is where it was asked for, behind the loader and not in the stack, or below all that stays.
  const below = end < storageStart;
  const behind = loader < start && (end <= stack - STACK || stack <= start);
  if (!((below || behind) && libc < loader && libc < addressOf("stderr"))) return [];

  const munmap = addressOf("munmap");
  const madvise = addressOf("madvise");
  const bun = process.arch === "arm64" ? pointer + 16 : pointer - BUN_STORAGE;
  const bunStart = pageAfter(bun);
  const bunSize = pageOf(bun + BUN_STORAGE) - bunStart;
  const calls: Call[] = [
    [munmap, 0, below ? start : storageStart],
    [madvise, stack - STACK, STACK, MADV_DONTNEED],
  ];
  if (below) calls.push([munmap, end, storageStart - end]);
  // With large pages there may be none that is all Bun's.
  if (bunSize > 0) calls.push([madvise, bunStart, bunSize, MADV_DONTNEED]);
  if (storageEnd < libc) calls.push([munmap, storageEnd, libc - storageEnd]);
  return calls;
}
