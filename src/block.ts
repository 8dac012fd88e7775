/** The memory that stays when JavaScript's is given back. */
import { type Address, pointerTo } from "./libc.ts";

/** Size of the block in bytes. Pages of it that are never touched cost nothing. */
const SIZE = 128 * 1024;

/** A stretch of memory at a fixed address, handed out from its beginning. */
export class Block {
  readonly #bytes = new Uint8Array(SIZE);
  readonly #view = new DataView(this.#bytes.buffer);
  #used = 0;

  /** Address of its first byte. */
  readonly start: Address = pointerTo(this.#bytes);
  /** Address behind its last byte. */
  readonly end: Address = this.start + SIZE;

  /** Hands out `size` bytes of zeros at a multiple of 16, as stacks and vector registers need. */
  reserve(size: number): Address {
    const padding = -(this.start + this.#used) & 15;
    const address = this.start + this.#used + padding;
    this.#used += padding + size;
    return address;
  }

  /** Copies `data` into the block. */
  place(data: Uint8Array | Uint32Array): Address {
    const address = this.reserve(data.byteLength);
    this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), address - this.start);
    return address;
  }

  /** Copies `text`, which must be ASCII, and a NUL into the block. */
  placeText(text: string): Address {
    return this.place(new TextEncoder().encode(`${text}\0`));
  }

  /** Stores an address or another 8-byte number at `address`. */
  store(address: Address, value: number): void {
    this.#view.setBigUint64(address - this.start, BigInt(value), true);
  }

  /** What has not been handed out yet. */
  get rest(): number {
    return SIZE - this.#used;
  }
}
