/** Room for what the build adds to the executable: addresses and bytes of the file that the cut frees. */
import { InputError } from "../command/report.ts";
import { Elf, HEADER_SIZES, PT_LOAD, type Segment } from "./elf.ts";

/** Maximum number of program headers that the build adds: what is behind each of three holes, the entry point and its mask. */
const MORE = 5;

/**
 * Bytes of a huge page on x86-64, and on arm64 with pages of 4 KiB. The kernel maps what it has cached as one piece with one
 * page fault, up to a huge page, if offset and address are equal modulo this. (Linkers call it max-page-size.)
 */
export const HUGE_PAGE = 2 * 1024 * 1024;

/** `offset` rounded up to what vector registers and instructions need. */
const aligned = (offset: number): number => Math.ceil(offset / 16) * 16;

/**
 * The room. It begins in the first segment, where it is readable, and goes on in segments of its own.
 * The table of program headers comes first: docs/design.md.
 */
export class Room {
  readonly #segment: Segment;
  /** Offset of the table of program headers. */
  readonly table: number;
  /** Maximum number of program headers in the table. */
  readonly headers: number;
  /** Offset behind what is taken of the first segment. */
  end: number;
  /** The segments of its own, in the order of their addresses. */
  readonly segments: Segment[] = [];
  /** Offset behind the room. */
  readonly limit: number;

  /**
   * Takes the table's room from the bytes `start` to `limit` of the executable `bytes`, which must be unused zeros of
   * its first segment.
   */
  constructor(bytes: Buffer, { start, end }: { readonly start: number; readonly end: number }) {
    const elf = new Elf(bytes);
    this.#segment = elf.segmentAt(start);
    if (this.#segment.offset !== 0) throw new InputError("what the cut frees is not in the first segment");
    this.end = aligned(start);
    this.limit = end;
    this.headers = elf.segments.length + MORE;
    this.table = this.take(this.headers * HEADER_SIZES.segment);
  }

  /**
   * Returns the offset of `size` bytes of the first segment. Throws an InputError if there is no room, or a segment of
   * its own was taken.
   */
  take(size: number): number {
    if (this.segments.length > 0) throw new InputError("the first segment cannot grow any more");
    const offset = this.end;
    this.end = this.#check(aligned(offset + size));
    return offset;
  }

  /**
   * Returns a new segment of `size` bytes with `flags`, which is on pages of its own in memory and close behind the others
   * in the file. Throws an InputError if there is no room.
   */
  takeSegment(size: number, flags: number): Segment {
    const { alignment, address } = this.#segment;
    const last = this.segments.at(-1);
    // Whole huge pages, as far as there is room, for the segment that ends here.
    const whole = Math.ceil(this.end / HUGE_PAGE) * HUGE_PAGE;
    if (!last && whole + HUGE_PAGE <= this.limit) this.end = whole;
    const offset = this.#check(aligned(last ? last.offset + last.size : this.end) + alignment);
    this.#check(offset + size);
    const segment = { type: PT_LOAD, flags, offset, address: address + offset, size, memory: size, alignment };
    this.segments.push(segment);
    return segment;
  }

  /** Returns the address of the byte at `offset`. */
  addressOf(offset: number): number {
    return this.#segment.address + offset;
  }

  #check(end: number): number {
    if (end > this.limit) throw new InputError("the cut frees too little room");
    return end;
  }
}
