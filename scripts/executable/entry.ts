/**
 * Adds the entry point: the first instructions of the executable, which hold SIGINT, SIGTERM and SIGCHLD back, or the
 * kernel would drop them (sig_ignored of kernel/signal.c): docs/design.md.
 *
 * No instruction of Bun's is changed. The loader starts these instead of Bun's, to which they go on, with all that the ABI
 * hands over: the function for atexit(3) in rdx or x0, and the stack. If the call is refused, they go on as well.
 */
import { ENTRY_DATA, HELD } from "../../src/signals.ts";
import { InputError } from "../command/report.ts";
import { Elf, PF_R, PF_W, PF_X } from "./elf.ts";
import type { Platform } from "./platforms.ts";
import type { Room } from "./room.ts";

/** Bytes of the set and of the mask as rt_sigprocmask(2) takes them, and of an address. */
const WORD = 8;

/** Bytes of the code and of the data behind it: the set, and the address of the inherited mask. */
const SIZE = ENTRY_DATA + 2 * WORD;

/** `value` as 4 bytes, little-endian. */
function word(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

/**
 * The instructions for x86-64, Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. Besides what is
 * written here, `syscall` changes rcx and r11; the ABI promises none of these to a program.
 *
 * @param next how far behind the first instruction Bun's entry is
 */
function amd64(next: number): number[] {
  // biome-ignore format: an instruction a line
  return [
    0x49, 0x89, 0xd0,                               //  0 mov r8, rdx
    0xb8, ...word(14),                              //  3 mov eax, SYS_rt_sigprocmask
    0x31, 0xff,                                     //  8 xor edi, edi       SIG_BLOCK
    0x48, 0x8d, 0x35, ...word(ENTRY_DATA - 17),     // 10 lea rsi, [set]
    0x48, 0x8b, 0x15, ...word(ENTRY_DATA + WORD - 24), // 17 mov rdx, [address of the mask]
    0x41, 0xba, ...word(WORD),                      // 24 mov r10d, 8
    0x0f, 0x05,                                     // 30 syscall
    0x4c, 0x89, 0xc2,                               // 32 mov rdx, r8
    0xe9, ...word(next - 40),                       // 35 jmp next
  ];
}

/**
 * The instructions for arm64, Arm Architecture Reference Manual for A-profile, C6.2.
 *
 * @param next how far behind the first instruction Bun's entry is; less than 128 MiB
 */
function arm64(next: number): number[] {
  // biome-ignore format: an instruction a line
  return [
    0xaa0003e9,                                           //  0 mov x9, x0
    0xd2800000,                                           //  4 mov x0, #0       SIG_BLOCK
    0x10000001 | (((ENTRY_DATA - 8) >> 2) << 5),          //  8 adr x1, set
    0x58000002 | (((ENTRY_DATA + WORD - 12) >> 2) << 5),  // 12 ldr x2, address of the mask
    0xd2800003 | (WORD << 5),                             // 16 mov x3, #8
    0xd2800008 | (135 << 5),                              // 20 mov x8, #SYS_rt_sigprocmask
    0xd4000001,                                           // 24 svc #0
    0xaa0903e0,                                           // 28 mov x0, x9
    0x14000000 | (((next - 32) >> 2) & 0x3ffffff),        // 32 b next
  ].flatMap(word);
}

/**
 * Adds the entry point to the executable `bytes`, in place, in `room`: a segment of code, and one of 8 bytes for the mask.
 *
 * Throws an InputError if the executable is not one of fixed addresses, or there is no room.
 */
export function addEntry(bytes: Buffer, { architecture }: Platform, room: Room): void {
  const elf = new Elf(bytes);
  if (!elf.isFixed) throw new InputError("the executable is not one of fixed addresses");
  const code = room.takeSegment(SIZE, PF_R | PF_X);
  const mask = room.takeSegment(WORD, PF_R | PF_W);
  const next = elf.entry - code.address;
  if (next % 4 !== 0 && architecture === "arm64") throw new InputError("Bun's entry is not an instruction");
  if (Math.abs(next) >= 2 ** 27) throw new InputError("Bun's entry is too far away");
  Buffer.from((architecture === "arm64" ? arm64 : amd64)(next)).copy(bytes, code.offset);
  bytes.writeBigUInt64LE(BigInt(HELD), code.offset + ENTRY_DATA);
  bytes.writeBigUInt64LE(BigInt(mask.address), code.offset + ENTRY_DATA + WORD);
  elf.entry = code.address;
}
