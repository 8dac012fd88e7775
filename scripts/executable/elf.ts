/**
 * Reads a 64-bit little-endian ELF executable or library, and rewrites its dynamic section in place: elf(5).
 *
 * Offsets and sizes are in bytes; an offset is into the file, an address into memory.
 */
import { InputError } from "../command/report.ts";

/** The kind of file that is an executable of fixed addresses: elf.h. */
const ET_EXEC = 2;

/** The kind of program header that is about a stretch of memory: elf.h. */
export const PT_LOAD = 1;
/** The other kinds used here. */
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
/** The program header of the table of program headers itself. */
export const PT_PHDR = 6;
const PT_TLS = 7;

/** Flags of a segment: executable, writable, readable. */
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;

/** The kind of a section that takes no bytes of the file. */
export const SHT_NOBITS = 8;

/** Kinds of entries of the dynamic section: elf.h. */
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_PLTRELSZ = 2;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_RELA = 7;
const DT_RELASZ = 8;
const DT_JMPREL = 23;
const DT_VERSYM = 0x6ffffff0;
const DT_VERNEED = 0x6ffffffe;
const DT_VERNEEDNUM = 0x6fffffff;

/** Sizes of `Elf64_Dyn`, `Elf64_Sym` and `Elf64_Rela`. */
const [DYN, SYM, RELA] = [16, 24, 24];

/** Sizes of `Elf64_Ehdr`, `Elf64_Phdr` and `Elf64_Shdr`. */
export const HEADER_SIZES = { file: 64, segment: 56, section: 64 } as const;

/** The magic number, ELFCLASS64 and ELFDATA2LSB. */
const IDENTITY = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

/** A program header. */
export interface Segment {
  /** `PT_*`. */
  readonly type: number;
  /** `PF_*`. */
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes in memory: those of the file, and zeros. */
  readonly memory: number;
  /** The offset and the address are equal modulo this. */
  readonly alignment: number;
}

/** A section header. */
export interface Section {
  readonly name: string;
  /** `SHT_*`. */
  readonly type: number;
  /** 0 if it is not loaded. */
  readonly address: number;
  readonly offset: number;
  readonly size: number;
}

/** A dynamic symbol: what the executable takes from libraries, or offers to them. */
export interface DynamicSymbol {
  readonly index: number;
  readonly name: string;
  /** True if the executable itself has it; if not, a library must. */
  readonly defined: boolean;
  /** Its address, 0 if it is not defined. */
  readonly address: number;
}

/** A relocation: what the loader writes where before the program starts. */
export interface Relocation {
  /** Offset of the entry. */
  readonly at: number;
  /** The address that the loader writes to. */
  readonly address: number;
  /** Index of the symbol. */
  readonly symbol: number;
  /** `R_*` of the machine. */
  readonly type: number;
  /** The number that is added to the symbol's address. */
  readonly addend: number;
}

/** The hash of a name, as the System V ABI defines it. */
function hashOf(name: string): number {
  let hash = 0;
  for (const byte of Buffer.from(name, "latin1")) {
    hash = (hash << 4) + byte;
    hash = (hash ^ ((hash & 0xf0000000) >>> 24)) & 0x0fffffff;
  }
  return hash;
}

/** An ELF file in memory. Everything is read on demand: the first page is enough for the program headers. */
export class Elf {
  readonly #bytes: Buffer;
  readonly #name: string;
  readonly segments: readonly Segment[];
  #entries: Map<number, number> | undefined;
  #symbols: readonly DynamicSymbol[] | undefined;
  /** Names in the string table that nothing uses any more. */
  readonly #free: { readonly at: number; readonly size: number }[] = [];

  /** Reads the program headers of `bytes`. Throws an InputError that calls the file `name` if it is not of this kind. */
  constructor(bytes: Uint8Array, name = "the executable") {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    if (bytes.length < HEADER_SIZES.file || !this.#bytes.subarray(0, IDENTITY.length).equals(IDENTITY)) {
      throw new InputError(`${name} is not a 64-bit ELF file`);
    }
    const first = this.#word(32); // e_phoff
    this.segments = Array.from({ length: this.#bytes.readUInt16LE(56) }, (_, index) => {
      const at = first + index * HEADER_SIZES.segment;
      return {
        type: this.#bytes.readUInt32LE(at),
        flags: this.#bytes.readUInt32LE(at + 4),
        offset: this.#word(at + 8),
        address: this.#word(at + 16),
        size: this.#word(at + 32),
        memory: this.#word(at + 40),
        alignment: this.#word(at + 48),
      };
    });
  }

  /** Path of the dynamic loader it asks for (PT_INTERP); a library has none. */
  get loader(): string | undefined {
    const interpreter = this.segments.find(({ type }) => type === PT_INTERP);
    return interpreter && this.#text(interpreter.offset);
  }

  /** Names of the libraries it asks for (DT_NEEDED), in order. */
  get libraries(): string[] {
    const names = this.#dynamic().filter(([tag]) => tag === DT_NEEDED);
    return names.map(([, name]) => this.#text(this.#table(DT_STRTAB) + name));
  }

  /** Bytes of thread-local storage for each thread (PT_TLS). */
  get threadStorage(): number {
    return this.segments.find(({ type }) => type === PT_TLS)?.memory ?? 0;
  }

  /** All sections, the empty first one too. */
  get sections(): Section[] {
    const first = this.#word(40); // e_shoff
    const header = (index: number): number => first + index * HEADER_SIZES.section;
    const names = this.#word(header(this.#bytes.readUInt16LE(62)) + 24); // Of the section e_shstrndx.
    return Array.from({ length: this.#bytes.readUInt16LE(60) }, (_, index) => {
      const at = header(index);
      return {
        name: this.#text(names + this.#bytes.readUInt32LE(at)),
        type: this.#bytes.readUInt32LE(at + 4),
        address: this.#word(at + 16),
        offset: this.#word(at + 24),
        size: this.#word(at + 32),
      };
    });
  }

  /** The section called `name`. Throws an InputError if there is not exactly one. */
  section(name: string): Section {
    const [section, another] = this.sections.filter((it) => it.name === name);
    if (!section || another) throw new InputError(`${this.#name} does not have one section ${name}`);
    return section;
  }

  /** The loaded segment that has the byte of the file at `offset`. Throws an InputError if it is not loaded. */
  segmentAt(offset: number): Segment {
    const segment = this.#loaded().find((it) => offset >= it.offset && offset < it.offset + it.size);
    if (!segment) throw new InputError(`${this.#name} does not load its byte ${offset}`);
    return segment;
  }

  /** The dynamic symbols. Throws an InputError if there is no dynamic section with a hash table (DT_HASH). */
  get symbols(): readonly DynamicSymbol[] {
    if (this.#symbols) return this.#symbols;
    // The second word of the hash table is the number of symbols.
    const count = this.#bytes.readUInt32LE(this.#table(DT_HASH) + 4);
    this.#symbols = Array.from({ length: count }, (_, index) => {
      const at = this.#symbolAt(index);
      return {
        index,
        name: this.#text(this.#nameAt(at)),
        defined: this.#bytes.readUInt16LE(at + 6) !== 0,
        address: this.#word(at + 8),
      };
    });
    return this.#symbols;
  }

  /** The relocations, those of functions last. Throws an InputError if there is no dynamic section with both tables. */
  get relocations(): Relocation[] {
    return [
      [DT_RELA, DT_RELASZ],
      [DT_JMPREL, DT_PLTRELSZ],
    ].flatMap(([table = 0, size = 0]) => {
      const from = this.#table(table);
      return Array.from({ length: this.#entry(size) / RELA }, (_, index) => {
        const at = from + index * RELA;
        return {
          at,
          address: this.#word(at),
          symbol: this.#bytes.readUInt32LE(at + 12),
          type: this.#bytes.readUInt32LE(at + 8),
          addend: Number(this.#bytes.readBigInt64LE(at + 16)),
        };
      });
    });
  }

  /** True if its addresses are fixed (ET_EXEC): the loader adds nothing to them. */
  get isFixed(): boolean {
    return this.#bytes.readUInt16LE(16) === ET_EXEC;
  }

  /** Address of the first instruction (e_entry). */
  get entry(): number {
    return this.#word(24);
  }

  set entry(address: number) {
    this.#bytes.writeBigUInt64LE(BigInt(address), 24);
  }

  /**
   * Gives `symbol` another name, which must not be longer than its own or that of a library that `merge` took away, and
   * the version of the symbol `like`.
   */
  rename(symbol: DynamicSymbol, name: string, like: DynamicSymbol = symbol): void {
    const own = this.#nameAt(this.#symbolAt(symbol.index));
    const free = this.#free.findIndex(({ size }) => size >= name.length);
    const [slot] = name.length <= symbol.name.length || free < 0 ? [] : this.#free.splice(free, 1);
    const { at: from, size } = slot ?? { at: own, size: symbol.name.length };
    const to = from + size;
    if (name.length > size) throw new InputError(`there is no room for the name ${name}`);
    this.#bytes.writeUInt32LE(from - this.#table(DT_STRTAB), this.#symbolAt(symbol.index));
    // The names of two symbols may share bytes: the end of one may be another.
    const shared = this.symbols.find((it) => {
      const other = this.#nameAt(this.#symbolAt(it.index));
      return it.index !== symbol.index && other <= to && other + it.name.length >= from;
    });
    if (shared) throw new InputError(`the name ${symbol.name} is also part of ${shared.name}`);
    this.#bytes.fill(0, from, to).write(name, from, "latin1");
    const versions = this.#table(DT_VERSYM);
    const version = this.#bytes.readUInt16LE(versions + like.index * 2);
    this.#bytes.writeUInt16LE(version, versions + symbol.index * 2);
    this.#symbols = undefined;
  }

  /** Makes `symbol`, which the executable has itself, one that a library must have. */
  undefine(symbol: DynamicSymbol): void {
    const at = this.#symbolAt(symbol.index);
    this.#bytes.writeUInt16LE(0, at + 6); // st_shndx: SHN_UNDEF.
    this.#bytes.writeBigUInt64LE(0n, at + 8); // st_value.
    this.#symbols = undefined;
  }

  /**
   * Drops the need for the library `name`, which is now part of `successor`: the versions of its symbols come from `successor`.
   *
   * @param version the one that its symbols have in `successor`, if they had one and the same: written over the library's name,
   *   so it must be as long
   */
  merge(name: string, successor: string, version?: string): void {
    const dynamic = this.#dynamic();
    const strings = this.#table(DT_STRTAB);
    const named = (it: string) => dynamic.filter(([tag, at]) => tag === DT_NEEDED && this.#text(strings + at) === it);
    const [[entry, another], [kept]] = [named(name), named(successor)];
    const start = this.segments.find(({ type }) => type === PT_DYNAMIC)?.offset;
    if (!entry || another || !kept || start === undefined) {
      throw new InputError(`${this.#name} does not ask for ${name} and ${successor}`);
    }
    for (const [index, [tag, value]] of [...dynamic.filter((it) => it !== entry), [DT_NULL, 0] as const].entries()) {
      this.#bytes.writeBigUInt64LE(BigInt(tag), start + index * DYN);
      this.#bytes.writeBigUInt64LE(BigInt(value), start + index * DYN + 8);
    }
    this.#entries = undefined;
    // `Elf64_Verneed`: the name of the library at 4, where the next one is at 12.
    let at = this.#table(DT_VERNEED);
    for (let count = this.#entry(DT_VERNEEDNUM); count > 0; count--) {
      if (this.#text(strings + this.#bytes.readUInt32LE(at + 4)) === name) {
        this.#bytes.writeUInt32LE(kept[1], at + 4);
        if (version !== undefined) this.#renameVersion(at, entry[1], name, version);
      }
      at += this.#bytes.readUInt32LE(at + 12);
    }
    if (version === undefined) this.#free.push({ at: strings + entry[1], size: name.length });
  }

  /** Makes `relocation` one of `type` without a symbol: it stores `addend` where it stored the symbol's address. */
  relocate(relocation: Relocation, type: number, addend: number): void {
    this.#bytes.writeUInt32LE(type, relocation.at + 8);
    this.#bytes.writeUInt32LE(0, relocation.at + 12);
    this.#bytes.writeBigInt64LE(BigInt(addend), relocation.at + 16);
  }

  /** Renames the one version that the `Elf64_Verneed` at `at` asks for, and puts its name where `name` is in the string table. */
  #renameVersion(at: number, place: number, name: string, version: string): void {
    if (this.#bytes.readUInt16LE(at + 2) !== 1 || version.length !== name.length) {
      throw new InputError(`${this.#name} asks for more than one version of ${name}`);
    }
    // `Elf64_Vernaux`: the hash of the name at 0, the name at 8.
    const needed = at + this.#bytes.readUInt32LE(at + 8);
    this.#bytes.write(version, this.#table(DT_STRTAB) + place, "latin1");
    this.#bytes.writeUInt32LE(hashOf(version), needed);
    this.#bytes.writeUInt32LE(place, needed + 8);
  }

  #loaded(): Segment[] {
    return this.segments.filter(({ type }) => type === PT_LOAD);
  }

  /** Tags and values of the dynamic section, up to its end. */
  #dynamic(): [tag: number, value: number][] {
    const dynamic = this.segments.find(({ type }) => type === PT_DYNAMIC);
    const entries: [number, number][] = [];
    if (!dynamic) return entries;
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += DYN) {
      const tag = this.#word(at);
      if (tag === DT_NULL) break;
      entries.push([tag, this.#word(at + 8)]);
    }
    return entries;
  }

  #entry(tag: number): number {
    this.#entries ??= new Map(this.#dynamic());
    const value = this.#entries.get(tag);
    if (value === undefined) throw new InputError(`${this.#name} has no dynamic section with an entry ${tag}`);
    return value;
  }

  /** Offset of the table whose address is the value of `tag`. */
  #table(tag: number): number {
    const address = this.#entry(tag);
    const segment = this.#loaded().find((it) => address >= it.address && address < it.address + it.size);
    if (!segment) throw new InputError(`entry ${tag} of the dynamic section of ${this.#name} points nowhere`);
    return address - segment.address + segment.offset;
  }

  #symbolAt(index: number): number {
    return this.#table(DT_SYMTAB) + index * SYM;
  }

  #nameAt(symbolAt: number): number {
    return this.#table(DT_STRTAB) + this.#bytes.readUInt32LE(symbolAt);
  }

  /** The 8 bytes at `offset`: all that is read is below 2^53. */
  #word(offset: number): number {
    return Number(this.#bytes.readBigUInt64LE(offset));
  }

  /** The text at `offset` up to its NUL. */
  #text(offset: number): string {
    return this.#bytes.toString("latin1", offset, this.#bytes.indexOf(0, offset));
  }
}
