/** Takes stretches of zeros out of an ELF executable, so that neither the file nor memory holds them, and adds segments. */
import { InputError } from "../command/report.ts";
import { Elf, HEADER_SIZES, PF_W, PT_LOAD, PT_PHDR, type Section, type Segment, SHT_NOBITS } from "./elf.ts";
import { HUGE_PAGE, type Room } from "./room.ts";

/** A range of the file to remove. */
export interface Hole {
  /** Offset of its first byte. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
  /** The memory there afterwards: zeros, if the segment is writable, or nothing at all. */
  readonly leaves: "zeros" | "nothing";
}

/** The kernel maps 16 pages of 4 KiB around a page that is read, as far as they are cached. */
const AROUND = 64 * 1024;

/** The number that the offset and the address of the loaded `segment` are equal modulo: a huge page for one that is larger. */
function grainOf({ alignment, size }: Segment): number {
  if (size < AROUND) return alignment;
  return Math.max(alignment, size < HUGE_PAGE ? AROUND : HUGE_PAGE);
}

/**
 * Returns `hole` with its end, and its start if zeros are to be left, moved to the borders of pages. Throws an InputError if
 * it is not zeros of one loaded segment behind the bytes up to `used`, which are not part of the file's old content.
 */
function wholePages(bytes: Buffer, elf: Elf, hole: Hole, used = hole.start): Hole {
  const { offset, address, size, alignment, flags } = elf.segmentAt(hole.start);
  if (hole.end > offset + size) throw new InputError("what is to be cut is not in one segment");
  if (hole.leaves === "zeros" && (flags & PF_W) === 0)
    throw new InputError("zeros are to be cut where nothing is written");
  if (!bytes.subarray(used, hole.end).equals(Buffer.alloc(hole.end - used)))
    throw new InputError("what is to be cut is not zeros");
  const delta = address - offset;
  const start =
    hole.leaves === "nothing" ? hole.start : Math.ceil((hole.start + delta) / alignment) * alignment - delta;
  const end = Math.floor((hole.end + delta) / alignment) * alignment - delta;
  if (Math.max(start, used) >= end || end >= offset + size)
    throw new InputError("what is to be cut is less than a page or ends a segment");
  return { ...hole, start, end };
}

/** The loaded segment `segment` in pieces: what is left of it by `holes`, which are in order. */
function split(segment: Segment, holes: readonly Hole[]): Segment[] {
  const pieces: Segment[] = [];
  let rest = segment;
  for (const { start, end, leaves } of holes) {
    if (start < rest.offset || end > rest.offset + rest.size) continue;
    const size = start - rest.offset;
    const cut = end - rest.offset;
    pieces.push({ ...rest, size, memory: leaves === "zeros" ? cut : size });
    rest = {
      ...rest,
      offset: end,
      address: rest.address + cut,
      size: rest.size - cut,
      memory: rest.memory - cut,
    };
  }
  return [...pieces, rest];
}

/** A stretch of the old file that is kept. */
interface Kept {
  /** Offset of its first byte. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
  /** Offset of its first byte in the new file. */
  readonly at: number;
}

/** Returns what is kept of a file of `length` bytes: each of the loaded `pieces`, and what follows the last. */
function layOut(pieces: readonly Segment[], length: number): Kept[] {
  const kept: Kept[] = [];
  let free = 0;
  for (const [index, piece] of pieces.entries()) {
    const end = index + 1 < pieces.length ? piece.offset + piece.size : length;
    const grain = grainOf(piece);
    const at = free + ((((piece.address - free) % grain) + grain) % grain);
    kept.push({ start: piece.offset, end, at });
    free = at + end - piece.offset;
  }
  return kept;
}

function words(bytes: Buffer, at: number, numbers: readonly number[]): void {
  for (const [index, number] of numbers.entries()) bytes.writeBigUInt64LE(BigInt(number), at + index * 8);
}

/** The offset in the new file of the byte at `offset` of the old one, which must be kept or end what is. */
type Moved = (offset: number) => number;

/**
 * Writes a program header for each of `segments` into `room`, and the place and number of them into the ELF header. Throws
 * an InputError if there is no room, or a header other than of a loaded segment is about what is cut.
 */
function writeProgramHeaders(bytes: Buffer, elf: Elf, segments: readonly Segment[], room: Room, moved: Moved): void {
  const { table, headers } = room;
  if (segments.length > headers) throw new InputError(`there is room for ${headers} program headers only`);
  const size = segments.length * HEADER_SIZES.segment;
  const own = { offset: table, address: room.addressOf(table), size, memory: size };
  const before = Number(bytes.readBigUInt64LE(32)); // e_phoff
  bytes.fill(0, before, before + elf.segments.length * HEADER_SIZES.segment);
  for (const [index, segment] of segments.entries()) {
    const it = segment.type === PT_PHDR ? { ...segment, ...own } : segment;
    const first = moved(it.offset);
    if (it.type !== PT_LOAD && it.size > 0 && first + it.size !== moved(it.offset + it.size))
      throw new InputError("a program header is about what is to be cut");
    const at = table + index * HEADER_SIZES.segment;
    bytes.writeUInt32LE(it.type, at);
    bytes.writeUInt32LE(it.flags, at + 4);
    words(bytes, at + 8, [first, it.address, it.address, it.size, it.memory, it.alignment]);
  }
  words(bytes, 32, [table]); // e_phoff
  bytes.writeUInt16LE(segments.length, 56); // e_phnum
}

/**
 * Brings the section headers, which are the end of the file, and their place and number in the ELF header up to date.
 * A section with a hole becomes two.
 *
 * Returns the headers that come behind the others, which keep their numbers. Throws an InputError if the headers are
 * not the end, or a hole goes beyond a section.
 */
function writeSectionHeaders(bytes: Buffer, elf: Elf, holes: readonly Hole[], moved: Moved): Buffer[] {
  const { sections } = elf;
  const table = Number(bytes.readBigUInt64LE(40)); // e_shoff
  if (table + sections.length * HEADER_SIZES.section !== bytes.length) {
    throw new InputError("the section headers are not the end of the executable");
  }
  const more: Buffer[] = [];
  const write = (header: Buffer, { address, offset, size }: Section): void =>
    words(header, 16, [address, moved(offset), size]);
  for (const [index, section] of sections.entries()) {
    const at = table + index * HEADER_SIZES.section;
    const header = bytes.subarray(at, at + HEADER_SIZES.section);
    let rest = section;
    let current = header;
    for (const { start, end } of section.type === SHT_NOBITS ? [] : holes) {
      if (start < rest.offset || start >= rest.offset + rest.size) continue;
      const cut = end - rest.offset;
      if (cut > rest.size) throw new InputError(`what is to be cut goes beyond ${section.name}`);
      write(current, { ...rest, size: start - rest.offset });
      current = Buffer.from(header);
      more.push(current);
      rest = { ...rest, address: rest.address + cut, offset: end, size: rest.size - cut };
    }
    write(current, rest);
  }
  words(bytes, 40, [moved(table)]); // e_shoff
  bytes.writeUInt16LE(sections.length + more.length, 60); // e_shnum
  return more;
}

/**
 * Returns the executable `bytes`, which is changed on the way, without `unused` and without what nothing has taken of `room`,
 * and with the segments of the room.
 *
 * Every address stays what it was; a segment with a hole becomes two, and the table of program headers moves into the room.
 * A section with a hole becomes two of the same name. Between segments there are as many zeros as it takes for the offset
 * of each to suit its address.
 *
 * Throws an InputError if a hole is not zeros inside a segment, or the file is not laid out as linkers do.
 */
export function withoutHoles(bytes: Buffer, unused: readonly Hole[], room: Room): Buffer {
  const elf = new Elf(bytes);
  const last = room.segments.at(-1);
  const rest: Hole = { start: room.end, end: room.limit, leaves: "nothing" };
  const holes = [
    wholePages(bytes, elf, rest, last ? last.offset + last.size : room.end),
    ...unused.map((hole) => wholePages(bytes, elf, hole)),
  ].sort((a, b) => a.start - b.start);
  const segments = elf.segments.flatMap((it) => (it.type === PT_LOAD ? split(it, holes) : [it]));
  // Behind the first segment: the table is in the order of addresses.
  segments.splice(segments.findIndex(({ type }) => type === PT_LOAD) + 1, 0, ...room.segments);
  const pieces = segments.filter(({ type }) => type === PT_LOAD);
  if (pieces[0]?.offset !== 0 || pieces.some(({ offset }, index) => offset < (pieces[index - 1]?.offset ?? 0))) {
    throw new InputError("the segments are not in the order of the file");
  }
  const kept = layOut(pieces, bytes.length);
  const moved: Moved = (offset) => {
    const piece = kept.findLast(({ start }) => start <= offset);
    return piece === undefined ? offset : piece.at + Math.min(offset, piece.end) - piece.start;
  };
  writeProgramHeaders(bytes, elf, segments, room, moved);
  const more = writeSectionHeaders(bytes, elf, holes, moved);
  const result = Buffer.alloc(moved(bytes.length));
  for (const { start, end, at } of kept) bytes.copy(result, at, start, end);
  return Buffer.concat([result, ...more]);
}
