/**
 * A shared object that maps memory as soon as it is loaded: what a sandbox may do to a program before its first
 * instruction (gVisor's platform systrap does, at this very address). Made here, for there may be no compiler.
 */
import { writeFileSync } from "node:fs";

/** What it maps: the lowest address, and bytes. */
export const FOREIGN = { start: 0x60000, size: 0x10000 } as const;

/** elf.h: constants of the header, of program headers and of the dynamic section. */
const [ET_DYN, EM_X86_64, EM_AARCH64, PF_X, PF_W, PF_R] = [3, 62, 183, 1, 2, 4];
const [PT_LOAD, PT_DYNAMIC, PT_GNU_STACK] = [1, 2, 0x6474e551];
const [DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_INIT] = [5, 6, 10, 11, 12];

/** Sizes of the ELF header, of a program header, of a dynamic entry and of a symbol, in bytes. */
const [HEADER, PROGRAM_HEADER, ENTRY, SYMBOL] = [64, 56, 16, 24];

/** `mmap(0x60000, 0x10000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)`, and back. */
const CODE = {
  x64: `bf00000600   mov edi, 0x60000
        be00000100   mov esi, 0x10000
        ba01000000   mov edx, 1
        41ba32000000 mov r10d, 0x32
        4983c8ff     or r8, -1
        4531c9       xor r9d, r9d
        b809000000   mov eax, 9
        0f05         syscall
        c3           ret`,
  arm64: `c000a0d2 mov x0, #0x60000
          2100a0d2 mov x1, #0x10000
          220080d2 mov x2, #1
          430680d2 mov x3, #0x32
          04008092 mov x4, #-1
          050080d2 mov x5, #0
          c81b80d2 mov x8, #222
          010000d4 svc #0
          c0035fd6 ret`,
} as const;

/** Writes the object to the new file `path`, for LD_PRELOAD: one segment in memory, which holds headers, dynamic section and code. */
export function writePreload(path: string): void {
  const arm64 = process.arch === "arm64";
  const words = CODE[arm64 ? "arm64" : "x64"].split("\n").map((line) => line.trim().split(" ", 1)[0] ?? "");
  const code = Buffer.from(words.join(""), "hex");
  const dynamic = HEADER + 3 * PROGRAM_HEADER;
  const symbols = dynamic + 6 * ENTRY;
  const entry = symbols + SYMBOL;
  const size = entry + code.length;
  const file = Buffer.alloc(size);
  const words64 = (at: number, ...values: number[]) =>
    values.forEach((value, index) => void file.writeBigUInt64LE(BigInt(value), at + index * 8));
  code.copy(file, entry);
  // 64 bits, little-endian, version 1 of the format.
  file.write("\x7fELF\x02\x01\x01", "latin1");
  file.writeUInt16LE(ET_DYN, 16);
  file.writeUInt16LE(arm64 ? EM_AARCH64 : EM_X86_64, 18);
  file.writeUInt32LE(1, 20);
  words64(24, entry, HEADER);
  [HEADER, PROGRAM_HEADER, 3].forEach((value, index) => void file.writeUInt16LE(value, 52 + index * 2));
  const segment = (index: number, type: number, flags: number, offset: number, bytes: number, alignment: number) => {
    const at = HEADER + index * PROGRAM_HEADER;
    file.writeUInt32LE(type, at);
    file.writeUInt32LE(flags, at + 4);
    words64(at + 8, offset, offset, offset, bytes, bytes, alignment);
  };
  segment(0, PT_LOAD, PF_R | PF_X, 0, size, 65_536);
  segment(1, PT_DYNAMIC, PF_R, dynamic, 6 * ENTRY, 8);
  // The stack need not be executable.
  segment(2, PT_GNU_STACK, PF_R | PF_W, 0, 0, 16);
  // No name and no symbol but the first, which is empty, as the string table is: both lie in its zeros. The end is zeros.
  const tables = [DT_STRTAB, symbols, DT_SYMTAB, symbols, DT_STRSZ, 1, DT_SYMENT, SYMBOL, DT_INIT, entry];
  words64(dynamic, ...tables);
  writeFileSync(path, file);
}
