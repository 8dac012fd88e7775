/** Reads and rewrites the dynamic section of a 64-bit little-endian ELF image in memory: elf(5). */
import { InputError } from "./report.ts";

/** Kinds of program headers and of entries of the dynamic section: elf.h. */
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_PLTRELSZ = 2n;
const DT_HASH = 4n;
const DT_STRTAB = 5n;
const DT_SYMTAB = 6n;
const DT_RELA = 7n;
const DT_RELASZ = 8n;
const DT_JMPREL = 23n;
const DT_VERSYM = 0x6ffffff0n;

/** Sizes of `Elf64_Phdr`, `Elf64_Dyn`, `Elf64_Sym` and `Elf64_Rela` in bytes. */
const [PHDR, DYN, SYM, RELA] = [56, 16, 24, 24];

/** A dynamic symbol: what the executable takes from libraries, or offers to them. */
export interface DynamicSymbol {
  readonly index: number;
  readonly name: string;
  /** Whether the executable itself has it; if not, a library must. */
  readonly defined: boolean;
  /** Its address, 0 if it is not defined. */
  readonly address: bigint;
}

/** A relocation: what the loader writes where before the program starts. */
export interface Relocation {
  /** Offset of the entry in the image. */
  readonly at: number;
  /** Index of the symbol. */
  readonly symbol: number;
  /** `R_*` of the machine. */
  readonly type: number;
}

/** The dynamic symbols and relocations of an executable image, to look up and to rewrite in place. */
export class DynamicImage {
  readonly #image: Buffer;
  readonly #segments: { readonly offset: bigint; readonly address: bigint; readonly size: bigint }[] = [];
  readonly #entries = new Map<bigint, bigint>();
  readonly symbols: readonly DynamicSymbol[];
  readonly relocations: readonly Relocation[];

  /** Throws an InputError if `image` is not an executable with a dynamic section and a hash table. */
  constructor(image: Buffer) {
    if (image.length < 64 || image.readUInt32BE(0) !== 0x7f454c46 || image[4] !== 2 || image[5] !== 1) {
      throw new InputError("not a 64-bit little-endian ELF file");
    }
    this.#image = image;
    let dynamic: { offset: number; size: number } | undefined;
    const first = Number(image.readBigUInt64LE(32)); // e_phoff
    for (let at = first; at < first + image.readUInt16LE(56) * PHDR; at += PHDR) {
      const type = image.readUInt32LE(at);
      const [offset, address, size] = [8, 16, 32].map((field) => image.readBigUInt64LE(at + field)) as [
        bigint,
        bigint,
        bigint,
      ];
      if (type === PT_LOAD) this.#segments.push({ offset, address, size });
      if (type === PT_DYNAMIC) dynamic = { offset: Number(offset), size: Number(size) };
    }
    if (!dynamic) throw new InputError("the executable has no dynamic section");
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += DYN) {
      this.#entries.set(image.readBigUInt64LE(at), image.readBigUInt64LE(at + 8));
    }
    // The second word of the hash table is the number of symbols.
    const count = image.readUInt32LE(this.#table(DT_HASH) + 4);
    this.symbols = Array.from({ length: count }, (_, index) => {
      const at = this.#symbolAt(index);
      const name = this.#nameAt(at);
      return {
        index,
        name: image.toString("latin1", name, image.indexOf(0, name)),
        defined: image.readUInt16LE(at + 6) !== 0,
        address: image.readBigUInt64LE(at + 8),
      };
    });
    this.relocations = [
      [DT_RELA, DT_RELASZ],
      [DT_JMPREL, DT_PLTRELSZ],
    ].flatMap(([table = 0n, size = 0n]) => {
      const from = this.#table(table);
      return Array.from({ length: Number(this.#entry(size)) / RELA }, (_, index) => {
        const at = from + index * RELA;
        return { at, symbol: image.readUInt32LE(at + 12), type: image.readUInt32LE(at + 8) };
      });
    });
  }

  /** Gives `symbol` another name, which must not be longer, and the version of the symbol `like`. */
  rename(symbol: DynamicSymbol, name: string, like: DynamicSymbol = symbol): void {
    const from = this.#nameAt(this.#symbolAt(symbol.index));
    const to = from + symbol.name.length;
    if (name.length > symbol.name.length) throw new InputError(`${name} is longer than ${symbol.name}`);
    // The names of two symbols may share bytes: the end of one may be another.
    const shared = this.symbols.find(({ index }) => {
      const other = this.#nameAt(this.#symbolAt(index));
      return index !== symbol.index && other <= to && other + (this.symbols[index]?.name.length ?? 0) >= from;
    });
    if (shared) throw new InputError(`the name ${symbol.name} is also part of ${shared.name}`);
    this.#image.fill(0, from, to).write(name, from, "latin1");
    const versions = this.#table(DT_VERSYM);
    this.#image.copy(
      this.#image,
      versions + symbol.index * 2,
      versions + like.index * 2,
      versions + like.index * 2 + 2,
    );
  }

  /** Makes `relocation` one of `type` without a symbol: it stores `addend` where it did store the symbol's. */
  relocate(relocation: Relocation, type: number, addend: bigint): void {
    this.#image.writeUInt32LE(type, relocation.at + 8);
    this.#image.writeUInt32LE(0, relocation.at + 12);
    this.#image.writeBigUInt64LE(addend, relocation.at + 16);
  }

  /** Where the image's first byte, which is the ELF header's, lies in memory. */
  get start(): bigint {
    const segment = this.#segments.find(({ offset }) => offset === 0n);
    if (!segment) throw new InputError("the executable's header is not loaded");
    return segment.address;
  }

  #entry(tag: bigint): bigint {
    const value = this.#entries.get(tag);
    if (value === undefined) throw new InputError(`the executable's dynamic section has no entry ${tag}`);
    return value;
  }

  /** Offset of the table whose address is the value of `tag`. */
  #table(tag: bigint): number {
    const address = this.#entry(tag);
    const segment = this.#segments.find((it) => address >= it.address && address < it.address + it.size);
    if (!segment) throw new InputError(`entry ${tag} of the executable's dynamic section points nowhere`);
    return Number(address - segment.address + segment.offset);
  }

  #symbolAt(index: number): number {
    return this.#table(DT_SYMTAB) + index * SYM;
  }

  #nameAt(symbolAt: number): number {
    return this.#table(DT_STRTAB) + this.#image.readUInt32LE(symbolAt);
  }
}
