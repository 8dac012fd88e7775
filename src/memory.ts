/** Reads what lies at an address. */
import { read } from "./ffi.ts";
import type { Address } from "./libc.ts";

/** The byte at `address`. */
export function byteAt(address: Address): number {
  return read.u8(address);
}

/** The word of 4 bytes that is stored at `address`. */
export function wordAt(address: Address): number {
  return read.u32(address);
}

/** The address that is stored at `address`. */
export function pointerAt(address: Address): Address {
  return read.ptr(address);
}
