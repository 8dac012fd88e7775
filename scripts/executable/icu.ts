/**
 * Takes all data out of ICU, the library behind everything in JavaScript that knows of languages, calendars and time zones.
 *
 * Its data is one "common data" item of 12 MB: a header, a table of contents, and items that are found by name.
 * With an empty table ICU has no data, and can be built that way. JavaScriptCore aborts where it relies on some (dates of a
 * time zone, `localeCompare`, NFKC, host names that are not ASCII), all of which src/ does without: what it needs of
 * Unicode, such as lower case, is compiled into ICU's code.
 *
 * The header is `MappedData` and `UDataInfo` of ICU's ucmndata.h and udata.h, the table `UDataOffsetTOC`. Here an item is
 * either as ICU makes it, or a Zstandard frame that only Bun can unpack.
 */
import { type Elf, PF_R } from "./elf.ts";
import { refuse, type Unused } from "./unused.ts";

/** Size of the header in its first 2 bytes, then its magic number. */
const MAGIC = 0x27da;
/** At byte 8 of the header: little-endian, ASCII, 2 bytes a character, reserved, format "CmnD", its version 1.0.0.0. */
const FORMAT = Buffer.from("00000200436d6e4401000000", "hex");

/** The first 4 bytes of a Zstandard frame, little-endian: RFC 8878. */
const ZSTANDARD = 0xfd2fb528;

/** Offset of the only common data item in `bytes`. */
function find(bytes: Buffer): number {
  const found: number[] = [];
  for (let at = bytes.indexOf(FORMAT); at >= 0; at = bytes.indexOf(FORMAT, at + 1)) {
    if (at >= 8 && bytes.readUInt16LE(at - 6) === MAGIC) found.push(at - 8);
  }
  const [start] = found;
  if (start === undefined || found.length !== 1) refuse(`ICU's data: found ${found.length} times instead of once`);
  return start;
}

/**
 * Empties the table of contents of ICU's data in the executable `bytes`.
 *
 * Returns what that leaves unused: all names and items but the last, of which nothing says where it ends. Throws an
 * InputError, with nothing changed, if the data is not read-only, or not names and items that follow one another.
 */
export function emptyIcu(bytes: Buffer, elf: Elf): Unused {
  const start = find(bytes);
  const section = elf.section(".rodata");
  const limit = section.offset + section.size;
  const table = start + bytes.readUInt16LE(start);
  if (start < section.offset || table + 4 > limit) refuse("ICU's data is not in .rodata");
  if (elf.segmentAt(start).flags !== PF_R) refuse("ICU's data is not read-only");
  const count = bytes.readUInt32LE(table);
  // Names follow the table, and the items the names.
  let free = table + 4 + count * 8;
  const word = (index: number): number => table + bytes.readUInt32LE(table + 4 + index * 4);
  if (count === 0 || free > limit) refuse(`ICU's data has ${count} items`);
  for (let index = 0; index < count; index++) {
    if (word(index * 2) !== free) refuse("the names of ICU's items do not follow one another");
    free = bytes.indexOf(0, free) + 1;
  }
  const items = Array.from({ length: count }, (_, index) => word(index * 2 + 1));
  for (const [index, item] of items.entries()) {
    if (item < free || item % 16 !== 0 || item + 4 > limit) refuse(`ICU's item ${index} lies elsewhere`);
    if (bytes.readUInt32LE(item) !== ZSTANDARD && bytes.readUInt16LE(item + 2) !== MAGIC) {
      refuse(`ICU's item ${index} is not of a known kind`);
    }
    free = item + 1;
  }
  bytes.writeUInt32LE(0, table);
  return { start: table + 4, end: items.at(-1) ?? table + 4, parts: items };
}
