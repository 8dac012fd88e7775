/**
 * The memory that stays when JavaScript's is given back.
 *
 * Written for the interpreter and for few pages touched: a class, a typed array or a TextEncoder would each cost more
 * time than all of it does. What writes is libc, a word at a call.
 */
import { type Address, addressOf, map, writers } from "./libc.ts";

/**
 * Sizes in bytes: of the arena, and of its stack. What is handed out lies above the stack, and begins in the middle of a
 * page: the first frames of the stack, which are all that a process at rest has on it, are in that page as well.
 */
const SIZE = 128 * 1024;
const STACK = SIZE - (process.arch === "arm64" ? 48 : 16) * 1024 + 1024;

/**
 * Bytes between a variable of the loader's and where the arena is asked for. The loader's own memory ends before; it is
 * the last before the stack, and what is mapped right behind it takes no page tables but those that libc has.
 */
const BEHIND_LOADER = 64 * 1024;

/** A stretch of memory at a fixed address, of which the lower part is a stack. */
export interface Arena {
  /** Address of its first byte. */
  readonly start: Address;
  /** Address behind its last byte. */
  readonly end: Address;
  /**
   * A stack of at least 64 KB. Signal handlers run on it: a frame is 4 to 12 KB on a processor with wide vector
   * registers, and psignal(3) takes a buffer of 8 KB.
   */
  readonly stack: { readonly start: Address; readonly size: number };
  /** Hands out `size` bytes of zeros at a multiple of 16, as stacks and vector registers need. */
  reserve(size: number): Address;
  /** Stores addresses or other numbers below 2^53 in 8 bytes each from `address` on. */
  store(address: Address, values: readonly number[]): void;
  /** Copies words of 4 bytes into the arena. */
  place(words: readonly number[]): Address;
  /** Copies `text`, which must be ASCII, and a NUL into the arena. */
  placeText(text: string): Address;
}

/** Makes an arena. */
export function createArena(): Arena {
  const start = map(SIZE, addressOf("__libc_stack_end") + BEHIND_LOADER);
  const { wmemset, strcpy } = writers();
  let free = start + STACK;

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

  const stack = { start, size: STACK };
  return { start, end: start + SIZE, stack, reserve, store, place, placeText };
}
