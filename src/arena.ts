/**
 * Memory outside JavaScript's: the arena stays when that is given back, the workspace goes last.
 *
 * Written for the interpreter and for few pages touched: a class, a typed array or a TextEncoder would each cost more
 * time than all of this. libc does the writing, one word per call.
 */
import { type Address, addressOf, libc, map, type Range } from "./libc.ts";

/** Bytes of each of the two. */
const SIZE = 128 * 1024;
/**
 * Bytes of the arena's stack. What is handed out lies above, and begins in the middle of a page: the first frames of the
 * stack, which are all that a process at rest has on it, are in that page as well.
 */
const STACK = SIZE - (process.arch === "arm64" ? 48 : 16) * 1024 + 1024;
/** Bytes of the workspace's lower part, which holds the list of mappings. */
const TEXT = 32 * 1024;

/**
 * Bytes between a variable of the loader's and where the arena is asked for. The loader's own memory ends before; it is
 * the last before the stack, and memory mapped right after it needs no page tables beyond libc's.
 */
const BEHIND_LOADER = 64 * 1024;

/** A stretch of memory, handed out from the bottom up. Nothing checks whether there is enough: test/rest/footprint.test.ts. */
export interface Arena extends Range {
  /**
   * Its lower part, where nothing is handed out. The arena's, of at least 64 KB, is a stack: signal handlers run on it,
   * whose frame is 4 to 12 KB on a processor with wide vector registers.
   */
  readonly lower: Range;
  /** Hands out `size` bytes of zeros at a multiple of 16, as stacks and vector registers need. */
  reserve(size: number): Address;
  /** Stores addresses or other numbers below 2^53 in 8 bytes each from `address` on. */
  store(address: Address, values: readonly number[]): void;
  /** Copies words of 4 bytes into the arena. */
  place(words: readonly number[]): Address;
  /** Copies `text`, which must be ASCII, and a NUL into the arena. */
  placeText(text: string): Address;
}

/** The arena. Throws if the kernel has no memory for it. */
export function createArena(): Arena {
  return create(addressOf("__libc_stack_end") + BEHIND_LOADER, STACK);
}

/** The workspace. Throws if the kernel has no memory for it. */
export function createWorkspace(): Arena {
  return create(0, TEXT);
}

function create(hint: Address, lower: number): Arena {
  const start = map(SIZE, hint);
  const { wmemset, strcpy } = libc;
  let free = start + lower;

  function reserve(size: number): Address {
    const address = free + (-free & 15);
    free = address + size;
    return address;
  }

  function store(address: Address, values: readonly number[]): void {
    for (let index = 0; index < values.length; index++) {
      const value = values[index] as number;
      wmemset(address + index * 8, value | 0, 1);
      wmemset(address + index * 8 + 4, (value / 2 ** 32) | 0, 1);
    }
  }

  function place(words: readonly number[]): Address {
    const address = reserve(words.length * 4);
    for (let index = 0; index < words.length; index++) wmemset(address + index * 4, (words[index] as number) | 0, 1);
    return address;
  }

  function placeText(text: string): Address {
    const address = reserve(text.length + 1);
    strcpy(address, text);
    return address;
  }

  return { start, end: start + SIZE, lower: { start, end: start + lower }, reserve, store, place, placeText };
}
