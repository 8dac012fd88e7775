/** The mappings of this process as the kernel lists them: /proc/self/maps, proc(5). */
import { read } from "./ffi.ts";
import { type Address, libc, type Range } from "./libc.ts";

/** The mappings, by what can be said of them; each list is in the order of addresses. */
export interface Mappings {
  /** Private, of no file, and without a name or with one of JavaScriptCore's. */
  readonly anonymous: readonly Range[];
  /** The first addresses of those of files. */
  readonly files: readonly Address[];
  /** libc's heap, as brk(2) makes it; nothing if the kernel does not say. */
  readonly heap: Range;
  /** The first address of the stack of the process; 0 if the kernel does not say. */
  readonly stack: Address;
}

// Marks in a line: 1, 2 or 4 characters as a little-endian number.
const BLANK = 0x20; // " "
const BRACKET = 0x5d; // "]"
const NO_FILE = 0x3020; // " 0", the inode
const ANON = 0x6f6e615b; // "[ano"
const JSC = 0x534a3a6e; // "n:JS"
const HEAP = 0x6165685b; // "[hea"
const STACK = 0x6174735b; // "[sta"

/** Column of the name in a line, if there is one: m_show of fs/proc/task_mmu.c pads to it. */
const NAME = 73;
/** Maximum number of lines parsed: a start has 40. 500 rounds of a loop would have it compiled. */
const LINES = 400;

/**
 * Reads and sorts the list. A line is `START-END PERMISSIONS OFFSET DEVICE INODE NAME`; one without a name ends with the
 * inode, on Linux with a blank behind it.
 *
 * @param text memory of zeros for the list, of which it takes some 5 KB, and 8 bytes more; a line that does not fit is left out
 * @returns empty lists where the file cannot be read
 */
export function mappings(text: Range): Mappings {
  const { close, open, read: readInto, strchr, strtoul } = libc;
  const anonymous: Range[] = [];
  const files: Address[] = [];
  let heap: Range = { start: 0, end: 0 };
  let stack: Address = 0;

  // strtoul(3) says here how far it read.
  const reached = text.end - 8;
  const fd = open("/proc/self/maps", 0);
  let end = text.start;
  for (let size = 1; fd >= 0 && size > 0; end += size) {
    size = Number(readInto(fd, end, reached - 1 - end));
    if (size < 0) size = 0;
  }
  if (fd >= 0) close(fd);

  let at = text.start;
  for (let line = 0; line < LINES; line++) {
    // Bun returns NULL as null.
    const newline = strchr(at, 10) as number | null;
    if (newline === null) break;
    const last = read.u8(newline - 1);
    const unnamed = read.u16(newline - (last === BLANK ? 3 : 2)) === NO_FILE;
    const name = unnamed || last !== BRACKET ? 0 : read.u32(at + NAME);
    if (unnamed || name === HEAP || (name === ANON && read.u32(at + NAME + 4) === JSC)) {
      const start = strtoul(at, reached, 16) as number;
      const range: Range = { start, end: strtoul(read.ptr(reached) + 1, reached, 16) as number };
      if (name === HEAP) heap = range;
      else anonymous.push(range);
    } else if (last !== BRACKET) files.push(strtoul(at, 0, 16) as number);
    else if (name === STACK) stack = strtoul(at, 0, 16) as number;
    at = newline + 1;
  }
  return { anonymous, files, heap, stack };
}
