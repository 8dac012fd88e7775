/** Makes the bundle, which Bun's compiler appends to the executable, the same on every machine. */
import { InputError } from "../command/report.ts";
import { Elf } from "./elf.ts";

/** The end of a bundle. */
const TRAILER = "\n---- Bun! ----\n";

/** Set if another platform's Bun made the bytecode; Bun says so when it reports a crash, which pause never sends. */
const CROSS_COMPILED_BYTECODE = 1 << 10;

/**
 * Clears the flag in the compiled executable `bytes` that says that it was made on another platform.
 *
 * The section .bun is the size of the bundle (8 bytes) and the bundle, which ends with `Offsets` of Bun's
 * StandaloneModuleGraph (32 bytes: the size of what is before them in the first 8, the flags in the last 4) and TRAILER.
 *
 * Throws an InputError if the section is not of this format.
 */
export function forgetBuilder(bytes: Buffer): void {
  const { offset, size } = new Elf(bytes).section(".bun");
  const trailer = offset + size - TRAILER.length;
  const word = (at: number): number => Number(bytes.readBigUInt64LE(at));
  const ends = bytes.toString("latin1", trailer, offset + size) === TRAILER;
  if (!ends || word(offset) !== size - 8 || word(trailer - 32) !== trailer - 32 - offset - 8) {
    throw new InputError("cannot build with this version of Bun: its bundle has another format");
  }
  bytes.writeUInt32LE(bytes.readUInt32LE(trailer - 4) & ~CROSS_COMPILED_BYTECODE, trailer - 4);
}
