/** Reads from an ELF executable or library what the dynamic loader reads: elf(5), 64-bit little-endian only. */
import { InputError } from "./report.ts";

/** What a file asks the system for. */
export interface Needs {
  /** Path of the dynamic loader (PT_INTERP); a library has none. */
  readonly loader?: string;
  /** Names of libraries (DT_NEEDED), in order. */
  readonly libraries: readonly string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;

/** The magic number, ELFCLASS64 and ELFDATA2LSB. */
const IDENTITY = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

/** The text at `offset` up to its NUL. */
function text(file: Buffer, offset: number): string {
  return file.toString("latin1", offset, file.indexOf(0, offset));
}

/** Reads the program headers and the dynamic section of `bytes`. Throws an InputError that calls the file `name` if it is not of this kind. */
export function needsOf(bytes: Uint8Array, name: string): Needs {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!file.subarray(0, IDENTITY.length).equals(IDENTITY)) throw new InputError(`${name} is not a 64-bit ELF file`);
  const word = (offset: number) => Number(file.readBigUInt64LE(offset));
  const start = word(0x20);
  const size = file.readUInt16LE(0x36);
  const segments = Array.from({ length: file.readUInt16LE(0x38) }, (_, index) => {
    const at = start + index * size;
    return { type: file.readUInt32LE(at), offset: word(at + 8), address: word(at + 16), length: word(at + 32) };
  });

  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const names: number[] = [];
  let strings = 0;
  for (let at = dynamic?.offset ?? 0; dynamic && at < dynamic.offset + dynamic.length; at += 16) {
    const tag = word(at);
    const value = word(at + 8);
    if (tag === DT_NULL) break;
    if (tag === DT_NEEDED) names.push(value);
    if (tag === DT_STRTAB) {
      // An address in memory: the segment that is loaded there says where it lies in the file.
      const home = segments.find((s) => s.type === PT_LOAD && value >= s.address && value < s.address + s.length);
      if (home) strings = value - home.address + home.offset;
    }
  }
  return {
    ...(interpreter && { loader: text(file, interpreter.offset) }),
    libraries: names.map((offset) => text(file, strings + offset)),
  };
}
