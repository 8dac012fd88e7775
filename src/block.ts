/**
 * The memory that stays when JavaScript's is given back.
 *
 * Written for the interpreter: a class, a DataView or a TextEncoder would each cost more time than all of it does.
 */
import { type Address, pointerTo } from "./libc.ts";

/** Size of the block in bytes. Pages of it that are never touched cost nothing. */
const SIZE = 128 * 1024;

/** A stretch of memory at a fixed address, handed out from its beginning. */
export interface Block {
  /** Address of its first byte. */
  readonly start: Address;
  /** Address behind its last byte. */
  readonly end: Address;
  /** Hands out `size` bytes of zeros at a multiple of 16, as stacks and vector registers need. */
  reserve(size: number): Address;
  /** Stores an address or another number below 2^53 in 8 bytes at `address`. */
  store(address: Address, value: number): void;
  /** Copies whole words of 4 bytes into the block. */
  place(words: ArrayLike<number>): Address;
  /** Copies `text`, which must be ASCII, and a NUL into the block. */
  placeText(text: string): Address;
}

/** Makes a block. It must be referred to for as long as it is used from JavaScript. */
export function createBlock(): Block {
  const bytes = new Uint8Array(SIZE);
  const words = new Uint32Array(bytes.buffer);
  const start = pointerTo(bytes);
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

  return { start, end: start + SIZE, reserve, store, place, placeText };
}
