/** The tests of the cut, for the executable of any platform. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../../scripts/executable/compile.ts";
import { cut } from "../../scripts/executable/cut.ts";
import { Elf, PF_W, PF_X, PT_LOAD, type Section, type Segment, SHT_NOBITS } from "../../scripts/executable/elf.ts";
import { FORMAT, HEADER, ITEMS, KEPT, PACKAGE, reduceIcu } from "../../scripts/executable/icu.ts";
import type { Platform } from "../../scripts/executable/platforms.ts";
import { BUN_STORAGE } from "../../src/footprint.ts";

/** Defines the tests: the cut takes out what it says and nothing else, and refuses whatever is not as it knows it. */
export function testCut(platform: Platform): void {
  describe(platform.name, () => cases(platform));
}

function cases(platform: Platform): void {
  const folder = mkdtempSync(join(tmpdir(), "pause-cut-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  /** The executable as the compiler writes it; it is never changed. */
  let whole: Buffer = Buffer.alloc(0);
  /** What the compiler's executable becomes. */
  let small: Buffer = Buffer.alloc(0);
  /** Two copies to tamper with and to compare: to make them anew for each test would take longer than all else. */
  let bytes: Buffer = Buffer.alloc(0);
  let before: Buffer = Buffer.alloc(0);
  let elf: Elf;
  /** Offsets of ICU's data and of its table of contents. */
  let icu = 0;
  let table = 0;

  beforeAll(async () => {
    const path = join(folder, platform.name);
    await bundle(platform, path);
    whole = readFileSync(path);
    small = cut(Buffer.from(whole));
    bytes = Buffer.alloc(whole.length);
    before = Buffer.alloc(whole.length);
    elf = new Elf(whole);
    icu = whole.indexOf(FORMAT.name) - FORMAT.at;
    table = icu + HEADER;
  }, 600_000);

  const offsetOf = (index: number): number => table + whole.readUInt32LE(table + 8 + index * 8);
  const count = (): number => whole.readUInt32LE(table);
  const loaded = (it: Elf): Segment[] => it.segments.filter(({ type }) => type === PT_LOAD);

  test("memory is as before, but for ICU's data and the table of program headers", () => {
    const after = new Elf(small);
    // What is in memory after the cut, at the offsets that it had before it.
    const memory = bytes.fill(0);
    for (const { address, offset, size } of loaded(after)) {
      const segment = loaded(elf).find((it) => address >= it.address && address + size <= it.address + it.size);
      small.copy(memory, address - (segment?.address ?? Number.NaN) + (segment?.offset ?? 0), offset, offset + size);
    }
    before.set(whole);
    const changed: [number, number][] = [
      [32, 64], // Where the tables are, and how long.
      [64, 64 + elf.segments.length * 56],
      [table, offsetOf(count() - 1)],
    ];
    for (const [start, end] of changed) for (const it of [memory, before]) it.fill(0, start, end);
    for (const { offset, size } of loaded(elf)) {
      expect(memory.subarray(offset, offset + size).equals(before.subarray(offset, offset + size))).toBe(true);
    }
    expect(whole.length - small.length).toBeGreaterThan(12_000_000);
  });

  test("what is not in memory any more is ICU's", () => {
    const after = loaded(new Elf(small));
    const gaps = loaded(elf).flatMap(({ address, size }) => {
      const inside = after.filter((it) => it.address >= address && it.address < address + size);
      return inside
        .slice(1)
        .map((it, index) => [(inside[index]?.address ?? 0) + (inside[index]?.memory ?? 0), it.address]);
    });
    const real = gaps.filter(([start = 0, end = 0]) => end > start);
    expect(real).toHaveLength(1);
    const [[start = 0, end = 0] = []] = real;
    expect(start).toBeGreaterThan(elf.segmentAt(0).address + table);
    expect(end).toBeLessThanOrEqual(elf.segmentAt(0).address + offsetOf(count() - 1));
  });

  test("segments can be mapped with pages of any size the machine has", () => {
    const after = loaded(new Elf(small));
    let end = 0;
    for (const { offset, address, memory, size, alignment, flags } of after) {
      expect(offset % alignment).toBe(address % alignment);
      expect(address - (address % alignment)).toBeGreaterThanOrEqual(end);
      end = Math.ceil((address + memory) / alignment) * alignment;
      // The kernel zeroes the rest of a page behind the last byte of the file: only where it can be written to.
      if (memory > size) expect(flags & PF_W).toBe(PF_W);
    }
    expect(after.map(({ alignment }) => alignment)).toEqual(
      after.map(() => (platform.architecture === "arm64" ? 65536 : 4096)),
    );
  });

  test("code lies in the file as in memory, as far as a huge page goes, and all else as far as the kernel maps around a fault", () => {
    const after = loaded(new Elf(small)).filter(({ size }) => size >= 64 * 1024);
    const code = after.filter(({ flags }) => (flags & PF_X) !== 0);
    expect(code).toHaveLength(1);
    for (const { offset, address } of code) expect((address - offset) % (2 * 1024 * 1024)).toBe(0);
    for (const { offset, address } of after) expect((address - offset) % (64 * 1024)).toBe(0);
    // What that takes is zeros, and little.
    const sizes = after.reduce((sum, { size }) => sum + size, 0);
    expect(small.length - sizes).toBeLessThan(1_000_000);
  });

  test("Bun's thread-local storage is as large as src/footprint.ts assumes", () => {
    expect(elf.threadStorage).toBeGreaterThanOrEqual(BUN_STORAGE);
  });

  test("all sections are where they were in memory and hold what they held", () => {
    const after = new Elf(small).sections;
    const bytes = (file: Buffer, { offset, size }: Section): Buffer => file.subarray(offset, offset + size);
    for (const [index, section] of elf.sections.entries()) {
      const now = after[index] as Section;
      expect([now.name, now.type, now.address]).toEqual([section.name, section.type, section.address]);
      if (section.name === ".rodata" || section.type === SHT_NOBITS) continue;
      expect(bytes(small, now).equals(bytes(whole, section))).toBe(true);
    }
    expect(after.slice(elf.sections.length).map(({ name }) => name)).toEqual([".rodata"]);
  });

  test("what is left of ICU's data is in order", () => {
    expect(small.readUInt32LE(table)).toBe(KEPT.length);
    const names = KEPT.map((_, index) => {
      const at = table + small.readUInt32LE(table + 4 + index * 8);
      return small.toString("latin1", at, small.indexOf(0, at));
    });
    expect(names).toEqual(names.toSorted());
    for (const [index, name] of names.entries()) {
      const old = Array.from({ length: count() }, (_, index) => index).find((index) => {
        const at = table + whole.readUInt32LE(table + 4 + index * 8);
        return whole.toString("latin1", at, at + name.length + 1) === `${name}\0`;
      });
      const start = offsetOf(old ?? Number.NaN);
      const item = whole.subarray(start, offsetOf((old ?? Number.NaN) + 1));
      const now = table + small.readUInt32LE(table + 8 + index * 8);
      expect(small.subarray(now, now + item.length).equals(item)).toBe(true);
    }
  });

  /** What is done to the executable, and what the cut then says: by what it knows of ICU's data, and of executables. */
  const TAMPERED: Record<string, [(bytes: Buffer) => unknown, string]> = {
    "ICU's data of another format": [(it) => it.write("CmnE", icu + FORMAT.at), "ICU's data: found 0 times"],
    "without a magic number": [(it) => it.writeUInt16LE(0, icu + FORMAT.magicAt), "ICU's data: found 0 times"],
    "with ICU's data twice": [
      (it) => it.copy(it, elf.section(".bun_builtins").offset, icu, icu + HEADER),
      "ICU's data: found 2 times",
    ],
    "another size of the header": [(it) => it.writeUInt16LE(160, icu), "another header"],
    "big-endian data": [(it) => it.writeUInt8(1, icu + 8), "another header"],
    "names in EBCDIC": [(it) => it.writeUInt8(1, icu + 9), "another header"],
    "another version of the format": [(it) => it.writeUInt8(2, icu + 16), "another header"],
    "data of another version of Unicode": [(it) => it.writeUInt8(4, icu + 20), "another header"],
    "one item less": [(it) => it.writeUInt32LE(count() - 1, table), `items instead of ${ITEMS}`],
    "no items": [(it) => it.writeUInt32LE(0, table), "ICU's data has 0 items"],
    "a name elsewhere": [(it) => it.writeUInt32LE(0, table + 4), "names of ICU's items do not follow"],
    "a name that does not end": [
      (it) => it.writeUInt32LE(it.readUInt32LE(table + 4) + 1, table + 4),
      "names of ICU's items do not follow",
    ],
    "items of another ICU": [(it) => it.write("icudt79l", table + it.readUInt32LE(table + 4)), "is out of order"],
    "an item out of order": [
      (it) => it.write("zz", table + it.readUInt32LE(table + 4) + PACKAGE.length),
      "is out of order",
    ],
    "an item before the names' end": [(it) => it.writeUInt32LE(16, table + 8), "lies elsewhere"],
    "an item that is not aligned": [
      (it) => it.writeUInt32LE(it.readUInt32LE(table + 16) + 1, table + 16),
      "lies elsewhere",
    ],
    "items that overlap": [(it) => it.writeUInt32LE(it.readUInt32LE(table + 32), table + 16), "lies elsewhere"],
    "the last item beyond the section": [
      (it) => it.writeUInt32LE(0x7ffffff0, table + 8 + (count() - 1) * 8),
      "lies elsewhere",
    ],
    "an item beyond the executable": [
      (it) => it.writeUInt32LE(0xfffffff0, table + 8 + (count() - 2) * 8),
      "lies elsewhere",
    ],
    "an item of another kind": [(it) => it.fill(0, offsetOf(7), offsetOf(7) + 4), "is not of a known kind"],
    "without an item that stays": [
      (it) => it.write("uts46.nrn", it.indexOf(`${PACKAGE}uts46.nrm`) + PACKAGE.length),
      "ICU's data lacks one of",
    ],
    "a section that ends before ICU's data": [
      (it) => it.writeBigUInt64LE(BigInt(icu - elf.section(".rodata").offset + HEADER), header(it, ".rodata") + 32),
      "not in .rodata",
    ],
    "a section that ends in ICU's data": [
      (it) => it.writeBigUInt64LE(BigInt(icu - elf.section(".rodata").offset + 1e6), header(it, ".rodata") + 32),
      "lies elsewhere",
    ],
    "ICU's data that can be written to": [(it) => it.writeUInt32LE(6, program(PT_LOAD) + 4), "not read-only"],
    "a segment that ends in ICU's data": [
      (it) => it.writeBigUInt64LE(BigInt(icu + 1e6), program(PT_LOAD) + 32),
      "does not load its byte",
    ],
    "a relocation into ICU's data": [
      (it) => it.writeBigInt64LE(BigInt(offsetOf(3000) + elf.segmentAt(0).address), (elf.relocations[0]?.at ?? 0) + 16),
      "the loader knows a part of ICU's data",
    ],
    "a relocation of ICU's data": [
      (it) => it.writeBigInt64LE(BigInt(offsetOf(3000) + elf.segmentAt(0).address), elf.relocations[0]?.at ?? 0),
      "the loader knows a part of ICU's data",
    ],
    "a variable that points to an item": [
      (it) =>
        it.writeBigInt64LE(
          BigInt(offsetOf(3000) + elf.segmentAt(0).address),
          Math.ceil(elf.section(".data").offset / 8) * 8,
        ),
      "a variable holds the address of an item",
    ],
  };
  /** Offset of the header of the section `name`, and of the first program header of the kind `type`. */
  const header = (bytes: Buffer, name: string): number => {
    return Number(bytes.readBigUInt64LE(40)) + elf.sections.findIndex((it) => it.name === name) * 64;
  };
  const program = (type: number): number => 64 + elf.segments.findIndex((it) => it.type === type) * 56;

  const CUT: Record<string, [(bytes: Buffer) => unknown, string]> = {
    "a variable of zeros that is none": [
      (it) => it.writeUInt8(1, elf.section(".bss").offset + 123_456),
      "what is to be cut is not zeros",
    ],
    "section headers that are not the end": [(it) => it.writeUInt16LE(37, 60), "section headers are not the end"],
  };

  test.each(Object.entries(TAMPERED))("refuses %s, and changes nothing", (_, [tamper, message]) => {
    bytes.set(whole);
    tamper(bytes);
    before.set(bytes);
    expect(() => reduceIcu(bytes)).toThrow(message);
    expect(bytes.equals(before)).toBe(true);
  });

  test.each(Object.entries(CUT))("refuses %s", (_, [tamper, message]) => {
    bytes.set(whole);
    tamper(bytes);
    expect(() => cut(bytes)).toThrow(message);
  });

  test("refuses what is cut already, and what is no executable", () => {
    expect(() => cut(cut(Buffer.from(whole)))).toThrow("does not have one section .rodata");
    expect(() => cut(Buffer.from("#!/bin/sh\n".repeat(20)))).toThrow("not a 64-bit ELF file");
  }, 60_000);
}
