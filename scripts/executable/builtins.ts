/**
 * Takes Bun's own modules (`node:util` and some 200 others), which are JavaScript, out of the executable: src/ imports none.
 * Bun itself loads one if an argument looks like an option of Node's, such as `--trace-exit`; now it gets NOTHING.
 *
 * They lie in the section .bun_builtins, with the functions of JavaScriptCore's that are JavaScript too, which stay. Its
 * format, as Bun's src/codegen/bundle-modules.ts writes it, in words of 4 bytes:
 *
 * ```
 * header   "BUNBLTNS" (8 bytes), version, stamp, number of modules, offsets of the records, of two tables that
 *          say which module may load which, and of the texts, size of the texts, 2 words
 * records  for each module, offset in the texts and size: of its name, of its URL, of its source
 * texts    functions, sources, names and URLs, each with a NUL behind it
 * ```
 */
import type { Elf } from "./elf.ts";
import { refuse, type Unused } from "./unused.ts";

const MAGIC = "BUNBLTNS";
/** Bun 1.4.1 to 1.4.3, and 1.4.4 and later: they differ in how the sources are to be compiled. */
const VERSIONS: readonly number[] = [1, 2];
/** Bytes of a record. */
const RECORD = 24;

/** A module without anything in it, as short as JavaScriptCore can parse it. */
const NOTHING = "(function (){return {}})";

/**
 * Makes NOTHING the source of each of Bun's modules in the executable `bytes`.
 *
 * Returns where the sources were. Throws an InputError, with nothing changed, if the section is not of this format, or
 * anything but the NULs lies between the sources.
 */
export function emptyModules(bytes: Buffer, elf: Elf): Unused {
  const { offset, size } = elf.section(".bun_builtins");
  const section = bytes.subarray(offset, offset + size);
  const word = (at: number): number => section.readUInt32LE(at);
  const [version, count, records, texts] = [word(8), word(16), word(20), word(32)];
  if (section.toString("latin1", 0, 8) !== MAGIC) refuse(".bun_builtins has another format");
  if (!VERSIONS.includes(version)) refuse(`.bun_builtins is of version ${version}`);
  if (count === 0 || records + count * RECORD > texts || texts + word(36) > size)
    refuse(".bun_builtins has no modules");
  const ofRecords = (field: number): { start: number; end: number }[] =>
    Array.from({ length: count }, (_, index) => {
      const [start, length] = [word(records + index * RECORD + field), word(records + index * RECORD + field + 4)];
      return { start: texts + start, end: texts + start + length };
    });
  const sources = ofRecords(16).sort((a, b) => a.start - b.start);
  const end = sources.at(-1)?.end ?? 0;
  for (const [index, source] of sources.entries()) {
    const next = sources[index + 1]?.start ?? end + 1;
    if (source.end + 1 !== next || section[source.end] !== 0)
      refuse("the sources of Bun's modules do not follow one another");
  }
  if ([...ofRecords(0), ...ofRecords(8)].some(({ start }) => start < end))
    refuse("the names of Bun's modules lie elsewhere");
  const [first = { start: end }] = sources;
  section.write(`${NOTHING}\0`, first.start, "latin1");
  for (let index = 0; index < count; index++) {
    section.writeUInt32LE(first.start - texts, records + index * RECORD + 16);
    section.writeUInt32LE(NOTHING.length, records + index * RECORD + 20);
  }
  const start = offset + first.start + NOTHING.length + 1;
  return { start, end: offset + end, parts: sources.map((source) => offset + source.start) };
}
