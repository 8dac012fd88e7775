/**
 * The memory that stays when JavaScript's is given back.
 *
 * Written for the interpreter: a class, a DataView or a TextEncoder would each cost more time than all of it does.
 */
import { type Address, map, memoryAt } from "./libc.ts";

/**
 * Sizes in bytes: of the block, and of its beginning, which JavaScript writes to. The rest is a stack. The engine counts
 * what it can write to as its own, and where memory is short it would start its garbage collector over it.
 */
const SIZE = 128 * 1024;
const WRITTEN = process.arch === "arm64" ? 48 * 1024 : 16 * 1024;

/** A stretch of memory at a fixed address, handed out from its beginning. */
export interface Block {
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
  /** Stores an address or another number below 2^53 in 8 bytes at `address`. */
  store(address: Address, value: number): void;
  /** Copies whole words of 4 bytes into the block. */
  place(words: ArrayLike<number>): Address;
  /** Copies `text`, which must be ASCII, and a NUL into the block. */
  placeText(text: string): Address;
}

/** Makes a block. */
export function createBlock(): Block {
  const start = map(SIZE);
  const memory = memoryAt(start, WRITTEN);
  const bytes = new Uint8Array(memory);
  const words = new Uint32Array(memory);
  let free = start;

  function reserve(size: number): Address {
    const address = free + (-free & 15);
    free = address + size;
    return address;
  }

  function store(address: Address, value: number): void {
    const index = (address - start) / 4;
    words[index] = value; // The low word: storing to a Uint32Array keeps a number's lowest 32 bits.
    words[index + 1] = value / 2 ** 32;
  }

  function place(source: ArrayLike<number>): Address {
    const address = reserve(source.length * 4);
    words.set(source, (address - start) / 4);
    return address;
  }

  function placeText(text: string): Address {
    const address = reserve(text.length + 1);
    for (let index = 0; index < text.length; index++) bytes[address - start + index] = text.charCodeAt(index);
    return address;
  }

  const stack = { start: start + WRITTEN, size: SIZE - WRITTEN };
  return { start, end: start + SIZE, stack, reserve, store, place, placeText };
}
