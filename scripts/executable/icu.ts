/**
 * Takes the languages out of ICU's data, which is 12 MB of the executable.
 *
 * ICU, the library behind everything in JavaScript that knows of languages, calendars and time zones, has its data in
 * one "common data" item: a header, a table of contents, and items that are found by name. For an item that is not
 * in the table ICU falls back to the root locale or returns an error; it can be built that way. But with an empty table
 * JavaScriptCore aborts where it relies on data, so the table is rewritten with KEPT alone.
 *
 * The common data item: its header is `MappedData` and `UDataInfo` of ICU's ucmndata.h and udata.h, its table
 * `UDataOffsetTOC`. Here an item is either as ICU makes it, or a Zstandard frame that only Bun can unpack:
 * it is moved as it is.
 */
import { InputError } from "../command/report.ts";
import { Elf, PF_R, PF_W, PT_LOAD } from "./elf.ts";

/** A stretch of the file, from the first byte's offset to that behind the last. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Bytes before the table of contents: the header with the copyright notice, rounded up. */
export const HEADER = 144;

/**
 * The beginning of the header, as this Bun has it: size of the header (2 bytes), magic number (2), size of `UDataInfo`
 * (2), reserved (2), little-endian, ASCII, 2 bytes a character, reserved, format "CmnD", its version 1.0.0.0, and
 * that of the data, which is the version of Unicode that the table is about.
 */
const IDENTITY = Buffer.from("9000da2714000000 00000200 436d6e44 01000000 03000000".replaceAll(" ", ""), "hex");

/** Where the format is in the header, and the magic number that confirms it. */
export const FORMAT = { at: 12, name: "CmnD", magicAt: 2, magic: 0x27da } as const;

/** How many items there are. */
export const ITEMS = 3990;
/** What all names begin with: the version of ICU, little-endian ASCII. */
export const PACKAGE = "icudt78l/";

/** The first 4 bytes of a Zstandard frame, little-endian: RFC 8878. */
const ZSTANDARD = 0xfd2fb528;

/**
 * The items that stay. Without any one of them some call that a program can make crashes instead of failing with an error;
 * with them, none in test/security/locales.test.ts crashes.
 */
export const KEPT = [
  "coll/ucadata.icu", // The order of characters: localeCompare.
  "curr/pool.res", // Keys of the next one.
  "curr/root.res", // The sign for any currency, which every number format looks up.
  "nfkc.nrm", // normalize("NFKC").
  "numberingSystems.res", // Digits: toLocaleString.
  "pool.res", // Keys of root.res.
  "root.res", // The root locale: Date's toLocaleString.
  "supplementalData.res", // Weeks, hours and calendars: the same.
  "uts46.nrm", // Host names that are not ASCII: new URL.
  "zoneinfo64.res", // Time zones: every Date that is not UTC.
] as const;

/** An entry of the table of contents. */
interface Item {
  readonly name: string;
  /** Offsets in the file. */
  readonly start: number;
  readonly end: number;
}

function refuse(what: string): never {
  throw new InputError(`cannot cut this version of Bun: ${what}`);
}

/** Offset of the only common data item in `bytes`. */
function find(bytes: Buffer): number {
  const found: number[] = [];
  for (let at = bytes.indexOf(FORMAT.name); at >= 0; at = bytes.indexOf(FORMAT.name, at + 1)) {
    const start = at - FORMAT.at;
    if (start >= 0 && bytes.readUInt16LE(start + FORMAT.magicAt) === FORMAT.magic) found.push(start);
  }
  const [start] = found;
  if (start === undefined || found.length !== 1) refuse(`ICU's data: found ${found.length} times instead of once`);
  if (!bytes.subarray(start, start + IDENTITY.length).equals(IDENTITY)) refuse("ICU's data has another header");
  return start;
}

/**
 * The items of the table at `table`, the last one without what it holds: nothing says where that ends.
 *
 * Throws an InputError if the names are not sorted, or the items do not follow one another, up to `limit`.
 */
function itemsOf(bytes: Buffer, table: number, limit: number): Item[] {
  const count = bytes.readUInt32LE(table);
  if (count !== ITEMS) refuse(`ICU's data has ${count} items instead of ${ITEMS}`);
  const word = (index: number): number => table + bytes.readUInt32LE(table + 4 + index * 4);
  // Names follow the table, and the items the names.
  let free = table + 4 + count * 8;
  const names = Array.from({ length: count }, (_, index) => {
    const at = word(index * 2);
    const end = bytes.indexOf(0, at);
    if (at !== free || end < 0 || end >= limit) refuse("the names of ICU's items do not follow one another");
    free = end + 1;
    return bytes.toString("latin1", at, end);
  });
  return names.map((name, index): Item => {
    const start = word(index * 2 + 1);
    const end = index + 1 < count ? word(index * 2 + 3) : start;
    if (!name.startsWith(PACKAGE) || name <= (names[index - 1] ?? "")) refuse(`ICU's item ${name} is out of order`);
    if (start < free || start % 16 !== 0 || end < start || end + 4 > limit) refuse(`ICU's item ${name} lies elsewhere`);
    if (bytes.readUInt32LE(start) !== ZSTANDARD && bytes.readUInt16LE(start + FORMAT.magicAt) !== FORMAT.magic) {
      refuse(`ICU's item ${name} is not of a known kind`);
    }
    return { name, start, end };
  });
}

/** The table of contents with `items`, which are copied behind it, for the place `table`. */
function tableWith(bytes: Buffer, items: readonly Item[], table: number): Buffer {
  const contents = Buffer.alloc(4 + items.length * 8);
  const parts: Buffer[] = [contents];
  let size = contents.length;
  const append = (part: Buffer): void => {
    parts.push(part);
    size += part.length;
  };
  contents.writeUInt32LE(items.length);
  items.forEach(({ name }, index) => {
    contents.writeUInt32LE(size, 4 + index * 8);
    append(Buffer.from(`${name}\0`, "latin1"));
  });
  items.forEach(({ start, end }, index) => {
    append(Buffer.alloc(-(table + size) & 15));
    contents.writeUInt32LE(size, 8 + index * 8);
    append(bytes.subarray(start, end));
  });
  return Buffer.concat(parts);
}

/** Throws an InputError if the loader, a symbol or a variable refers to what is removed: of `range`, or of one of `items`. */
function checkUnused(bytes: Buffer, elf: Elf, range: Range, items: readonly Item[]): void {
  const { address, offset } = elf.segmentAt(range.start);
  const within = (it: number): boolean => it > range.start - offset + address && it < range.end - offset + address;
  const pointing = elf.relocations.some((it) => within(it.address) || within(it.addend));
  if (pointing || elf.symbols.some((it) => within(it.address))) refuse("the loader knows a part of ICU's data");
  const addresses = new Set(items.map(({ start }) => start - offset + address));
  for (const segment of elf.segments) {
    if (segment.type !== PT_LOAD || (segment.flags & PF_W) === 0) continue;
    // Variables that hold an address lie at multiples of 8.
    for (let at = segment.offset + (-segment.address & 7); at + 8 <= segment.offset + segment.size; at += 8) {
      if (addresses.has(Number(bytes.readBigUInt64LE(at)))) refuse("a variable holds the address of an item of ICU's");
    }
  }
}

/**
 * Takes all items but KEPT out of the ICU data of the executable `bytes`, in place.
 *
 * Returns the range that is no longer used, now zeros. Throws an InputError, with nothing changed, if anything
 * is not as in the Bun this was written for.
 */
export function reduceIcu(bytes: Buffer): Range {
  const elf = new Elf(bytes);
  const start = find(bytes);
  const section = elf.section(".rodata");
  const limit = section.offset + section.size;
  if (start < section.offset || start % 16 !== 0 || start + HEADER + 4 > limit) refuse("ICU's data is not in .rodata");
  if (elf.segmentAt(start).flags !== PF_R) refuse("ICU's data is not read-only");
  const table = start + HEADER;
  const items = itemsOf(bytes, table, limit);
  const kept = items.filter(({ name }, index) => {
    return index + 1 < items.length && KEPT.some((it) => name === PACKAGE + it);
  });
  if (kept.length !== KEPT.length) refuse(`ICU's data lacks one of ${KEPT.join(", ")}`);
  const contents = tableWith(bytes, kept, table);
  const range: Range = { start: table + contents.length, end: items.at(-1)?.start ?? 0 };
  if (range.end > limit || range.start >= range.end) refuse("ICU's data does not lie in .rodata as a whole");
  checkUnused(bytes, elf, range, items);
  bytes.set(contents, table);
  bytes.fill(0, range.start, range.end);
  return range;
}
