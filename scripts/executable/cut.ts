/** Cuts unreachable data out of the compiled executable. Never code: what was not seen to run may still run. */
import { emptyModules } from "./builtins.ts";
import { Elf, PT_LOAD, SHT_NOBITS } from "./elf.ts";
import { type Hole, withoutHoles } from "./holes.ts";
import { emptyIcu } from "./icu.ts";
import { Room } from "./room.ts";
import { clear, refuse } from "./unused.ts";

/** The variables that begin as zeros (.bss), which the compiler writes to the file, because its bundle comes behind them. */
function zeros(elf: Elf): Hole {
  const { type, address, size } = elf.section(".bss");
  if (type !== SHT_NOBITS) refuse(".bss is not of zeros");
  const segment = elf.segments.find(
    (it) => it.type === PT_LOAD && address >= it.address && address + size < it.address + it.size,
  );
  if (!segment) refuse(".bss takes no bytes of the file");
  const start = address - segment.address + segment.offset;
  return { start, end: start + size, leaves: "zeros" };
}

/**
 * Takes ICU's data out of the executable `bytes`, in place, and returns the room.
 *
 * Throws an InputError if anything is not as in the Bun this was written for.
 */
export function freeRoom(bytes: Buffer): Room {
  const elf = new Elf(bytes);
  const unused = emptyIcu(bytes, elf);
  clear(bytes, elf, unused);
  return new Room(bytes, unused);
}

/**
 * Returns the executable `bytes` without Bun's modules, zeros and what is left of `room`. `bytes` is changed on the way.
 *
 * Throws an InputError if anything is not as in the Bun this was written for.
 */
export function cut(bytes: Buffer, room = freeRoom(bytes)): Buffer {
  const elf = new Elf(bytes);
  const modules = emptyModules(bytes, elf);
  clear(bytes, elf, modules);
  return withoutHoles(bytes, [{ ...modules, leaves: "nothing" }, zeros(elf)], room);
}
