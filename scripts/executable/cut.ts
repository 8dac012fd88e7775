/** Cuts unreachable data out of the compiled executable. Never code: what was not seen to run may still run. */
import { InputError } from "../command/report.ts";
import { Elf, PT_LOAD, SHT_NOBITS } from "./elf.ts";
import { type Hole, withoutHoles } from "./holes.ts";
import { reduceIcu } from "./icu.ts";
import { Room } from "./room.ts";

/** The variables that begin as zeros (.bss), which the compiler writes to the file, because its bundle comes behind them. */
function zeros(bytes: Buffer): Hole {
  const elf = new Elf(bytes);
  const { type, address, size } = elf.section(".bss");
  if (type !== SHT_NOBITS) throw new InputError("cannot cut this version of Bun: .bss is not of zeros");
  const segment = elf.segments.find(
    (it) => it.type === PT_LOAD && address >= it.address && address + size < it.address + it.size,
  );
  if (!segment) throw new InputError("cannot cut this version of Bun: .bss takes no bytes of the file");
  const start = address - segment.address + segment.offset;
  return { start, end: start + size, leaves: "zeros" };
}

/**
 * Takes ICU's data for languages out of the executable `bytes`, in place, and returns the room.
 *
 * Throws an InputError if anything is not as in the Bun this was written for.
 */
export function freeRoom(bytes: Buffer): Room {
  return new Room(bytes, reduceIcu(bytes));
}

/**
 * Returns the executable `bytes` without zeros and without what is left of `room`. `bytes` is changed on the way.
 *
 * Throws an InputError if anything is not as in the Bun this was written for.
 */
export function cut(bytes: Buffer, room = freeRoom(bytes)): Buffer {
  return withoutHoles(bytes, zeros(bytes), room);
}
