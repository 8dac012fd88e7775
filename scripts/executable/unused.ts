/** Data that nothing uses, which can be taken out of the executable. */
import { InputError } from "../command/report.ts";
import { type Elf, PF_W, PT_LOAD } from "./elf.ts";

/** A stretch of the file that nothing uses. */
export interface Unused {
  /** Offset of its first byte. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
  /** Offsets of the parts that it consists of. */
  readonly parts: readonly number[];
}

/** Throws an InputError that says that Bun has changed, and how. */
export function refuse(what: string): never {
  throw new InputError(`cannot cut this version of Bun: ${what}`);
}

/** Zeros what is `unused`. Throws an InputError if the loader or a symbol knows a place in it, or a variable one of its parts. */
export function clear(bytes: Buffer, elf: Elf, { start, end, parts }: Unused): void {
  const { address, offset } = elf.segmentAt(start);
  const within = (it: number): boolean => it > start - offset + address && it < end - offset + address;
  const pointing = elf.relocations.some((it) => within(it.address) || within(it.addend));
  if (pointing || elf.symbols.some((it) => within(it.address))) refuse("the loader knows a part of what is unused");
  const addresses = new Set(parts.map((it) => it - offset + address));
  for (const segment of elf.segments) {
    if (segment.type !== PT_LOAD || (segment.flags & PF_W) === 0) continue;
    // Variables that hold an address lie at multiples of 8.
    for (let at = segment.offset + (-segment.address & 7); at + 8 <= segment.offset + segment.size; at += 8) {
      if (addresses.has(Number(bytes.readBigUInt64LE(at)))) refuse("a variable holds the address of what is unused");
    }
  }
  bytes.fill(0, start, end);
}
