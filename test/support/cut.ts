/** The tests of the cut, for the executable of any platform. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { emptyModules } from "../../scripts/executable/builtins.ts";
import { bundle } from "../../scripts/executable/compile.ts";
import { cut } from "../../scripts/executable/cut.ts";
import { Elf, PF_W, PT_LOAD, type Section, type Segment, SHT_NOBITS } from "../../scripts/executable/elf.ts";
import { emptyIcu } from "../../scripts/executable/icu.ts";
import type { Platform } from "../../scripts/executable/platforms.ts";
import { HUGE_PAGE } from "../../scripts/executable/room.ts";
import { BUN_STORAGE } from "../../src/footprint.ts";
import { temporary } from "./temporary.ts";

/** Defines the tests: the cut takes out what it says and nothing else, and refuses whatever is not as it knows it. */
export function testCut(platform: Platform): void {
  describe(platform.name, () => cases(platform));
}

/** The executable as the compiler writes it, which is never changed, and what the cut makes of it. */
interface Executables {
  readonly whole: Buffer;
  readonly small: Buffer;
}

/** The loaded segments of `elf`. */
const loaded = (elf: Elf): Segment[] => elf.segments.filter(({ type }) => type === PT_LOAD);

/** The memory of each segment of `elf` after the loader has mapped those of `file`, at the offsets that it has in `elf`. */
function memoryOf(file: Buffer, elf: Elf, length: number): Buffer {
  const memory = Buffer.alloc(length);
  for (const { address, offset, size } of loaded(new Elf(file))) {
    const home = loaded(elf).find((it) => address >= it.address && address + size <= it.address + it.size);
    if (home) file.copy(memory, address - home.address + home.offset, offset, offset + size);
  }
  return memory;
}

function cases(platform: Platform): void {
  let { whole, small }: Executables = { whole: Buffer.alloc(0), small: Buffer.alloc(0) };
  let elf: Elf;

  beforeAll(async () => {
    const path = join(temporary("cut"), platform.name);
    await bundle(platform, path);
    whole = readFileSync(path);
    small = cut(Buffer.from(whole));
    elf = new Elf(whole);
  }, 600_000);

  test("memory is as before, but for headers, ICU's data and Bun's modules, which are gone", () => {
    const copy = Buffer.from(whole);
    const [icu, modules] = [emptyIcu(copy, elf), emptyModules(copy, elf)];
    const builtins = elf.section(".bun_builtins").offset;
    const texts = builtins + whole.readUInt32LE(builtins + 32);
    const changed = [
      [0, 64 + elf.segments.length * 56],
      [icu.start - 4, icu.end],
      [builtins, texts],
      [modules.parts[0], modules.end],
    ] as const;
    const [before, after] = [Buffer.from(whole), memoryOf(small, elf, whole.length)];
    for (const [start, end] of changed) for (const it of [before, after]) it.fill(0, start, end);
    for (const { offset, size } of loaded(elf)) {
      expect(after.subarray(offset, offset + size).equals(before.subarray(offset, offset + size))).toBe(true);
    }
    expect(whole.length - small.length).toBeGreaterThan(14_000_000);
  });

  test("segments can be mapped with pages of any size the machine has, large ones as huge pages, at the price of some zeros", () => {
    const after = loaded(new Elf(small));
    let end = 0;
    for (const { offset, address, memory, size, alignment, flags } of after) {
      expect(alignment).toBe(platform.architecture === "arm64" ? 65536 : 4096);
      expect(offset % alignment).toBe(address % alignment);
      expect(address - (address % alignment)).toBeGreaterThanOrEqual(end);
      end = Math.ceil((address + memory) / alignment) * alignment;
      // The kernel zeroes the rest of a page behind the last byte of the file: only where it can be written to.
      if (memory > size) expect(flags & PF_W).toBe(PF_W);
      const grain = size < HUGE_PAGE ? 64 * 1024 : HUGE_PAGE;
      if (size >= 64 * 1024) expect(Math.abs(address - offset) % grain).toBe(0);
    }
    const sizes = after.reduce((sum, { size }) => sum + size, 0);
    expect(small.length - sizes).toBeLessThan(4_000_000);
  });

  test("Bun's thread-local storage is as large as src/footprint.ts assumes", () => {
    expect(elf.threadStorage).toBeGreaterThanOrEqual(BUN_STORAGE);
  });

  test("all sections are where they were in memory, and hold what they held", () => {
    const after = new Elf(small).sections;
    const held = (file: Buffer, { offset, size }: Section): Buffer => file.subarray(offset, offset + size);
    for (const [index, section] of elf.sections.entries()) {
      const now = after[index] as Section;
      expect([now.name, now.type, now.address]).toEqual([section.name, section.type, section.address]);
      if (/^\.(rodata|bun_builtins)$/.test(section.name) || section.type === SHT_NOBITS) continue;
      expect(held(small, now).equals(held(whole, section))).toBe(true);
    }
    expect(after.slice(elf.sections.length).map(({ name }) => name)).toEqual([".rodata", ".bun_builtins"]);
  });

  /** Offsets of ICU's data, of its table of contents, of its item `index`, and of .bun_builtins. */
  const icu = () => whole.indexOf("CmnD") - 12;
  const table = () => icu() + whole.readUInt16LE(icu());
  const item = (index: number) => table() + whole.readUInt32LE(table() + 8 + index * 8);
  const builtins = () => elf.section(".bun_builtins").offset;
  const address = (offset: number) => BigInt(offset - elf.segmentAt(offset).offset + elf.segmentAt(offset).address);
  /** Offset of the header of the section `name`. */
  const header = (name: string) =>
    Number(whole.readBigUInt64LE(40)) + elf.sections.findIndex((it) => it.name === name) * 64;

  /** Changes to the executable, each with the message of the cut. */
  const TAMPERED: Record<string, [(bytes: Buffer) => unknown, string]> = {
    "ICU's data of another format": [(it) => it.write("CmnE", icu() + 12), "ICU's data: found 0 times"],
    "ICU's data without a magic number": [(it) => it.writeUInt16LE(0, icu() + 2), "ICU's data: found 0 times"],
    "ICU's data twice": [(it) => it.copy(it, builtins(), icu(), icu() + 144), "ICU's data: found 2 times"],
    "big-endian data": [(it) => it.writeUInt8(1, icu() + 8), "ICU's data: found 0 times"],
    "no items": [(it) => it.writeUInt32LE(0, table()), "ICU's data has 0 items"],
    "one item less": [(it) => it.writeUInt32LE(whole.readUInt32LE(table()) - 1, table()), "do not follow one another"],
    "a name elsewhere": [(it) => it.writeUInt32LE(0, table() + 4), "do not follow one another"],
    "an item before the names' end": [(it) => it.writeUInt32LE(16, table() + 8), "lies elsewhere"],
    "items that overlap": [(it) => it.copy(it, table() + 16, table() + 32, table() + 36), "lies elsewhere"],
    "an item beyond the section": [(it) => it.writeUInt32LE(0x7ffffff0, table() + 80), "lies elsewhere"],
    "an item of another kind": [(it) => it.fill(0, item(7), item(7) + 4), "is not of a known kind"],
    "ICU's data outside .rodata": [(it) => it.writeBigUInt64LE(16n, header(".rodata") + 32), "is not in .rodata"],
    "ICU's data that can be written to": [
      (it) => it.writeUInt32LE(6, 64 + elf.segments.findIndex(({ type }) => type === PT_LOAD) * 56 + 4),
      "not read-only",
    ],
    "a relocation that points into ICU's data": [
      (it) => it.writeBigInt64LE(address(item(3000)), (elf.relocations[0]?.at ?? 0) + 16),
      "the loader knows a part",
    ],
    "a relocation of ICU's data": [
      (it) => it.writeBigInt64LE(address(item(3000)), elf.relocations[0]?.at ?? 0),
      "the loader knows a part",
    ],
    "a variable that points to an item": [
      (it) => it.writeBigInt64LE(address(item(3000)), Math.ceil(elf.section(".data").offset / 8) * 8),
      "a variable holds the address",
    ],
    "modules of another format": [(it) => it.write("BUNBLTNX", builtins()), ".bun_builtins has another format"],
    "modules of a later version": [(it) => it.writeUInt32LE(9, builtins() + 8), ".bun_builtins is of version 9"],
    "no modules": [(it) => it.writeUInt32LE(0, builtins() + 16), ".bun_builtins has no modules"],
    "a module that is shorter": [
      (it) => it.writeUInt32LE(9, builtins() + 48 + 20),
      "modules do not follow one another",
    ],
    "a name among the modules": [(it) => it.writeUInt32LE(9, builtins() + 48), "names of Bun's modules lie elsewhere"],
    "a variable of zeros that is none": [
      (it) => it.writeUInt8(1, elf.section(".bss").offset + 123_456),
      "is not zeros",
    ],
    "section headers that are not the end": [(it) => it.writeUInt16LE(37, 60), "section headers are not the end"],
  };

  test.each(Object.entries(TAMPERED))("refuses %s", (_, [tamper, message]) => {
    const bytes = Buffer.from(whole);
    tamper(bytes);
    expect(() => cut(bytes)).toThrow(message);
  });

  test("refuses what is cut already, and what is no executable", () => {
    expect(() => cut(Buffer.from(small))).toThrow("does not have one section .rodata");
    expect(() => cut(Buffer.from("#!/bin/sh\n".repeat(20)))).toThrow("not a 64-bit ELF file");
  });
}
