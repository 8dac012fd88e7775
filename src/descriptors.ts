/** Closes what Bun holds open for an event loop that will not run. */
import type { Arena } from "./arena.ts";
import { read } from "./ffi.ts";
import { libc } from "./libc.ts";

/**
 * The kinds of files that Bun opens while it starts: an epoll instance, the eventfd that wakes it, a source of random numbers
 * and its own memory statistics; since 1.4.3 the first two only. Each is known by the first and the last 4 characters of its link in
 * /proc/self/fd, as little-endian numbers.
 */
const KINDS = [
  [0x6e6f6e61, 0x5d6c6c6f], // "anon", "oll]": anon_inode:[eventpoll]
  [0x6e6f6e61, 0x5d646674], // "anon", "tfd]": anon_inode:[eventfd]
  [0x7665642f, 0x6d6f646e], // "/dev", "ndom": /dev/urandom
  [0x6f72702f, 0x6d746174], // "/pro", "tatm": /proc/PID/statm
] as const;

/** The first descriptor after the standard ones, and the maximum number of descriptors looked at. */
const [FIRST, MAXIMUM] = [3, 12];
/** Bytes of the longest link looked at; of a longer one the end is missing. */
const LINK = 64;
/** fcntl(2): ask for the flags of the descriptor (asm-generic/fcntl.h). */
const F_GETFD = 1;

/**
 * Closes each descriptor of Bun's. What was inherited stays open, as in any C program: of a kind that is open twice none is
 * closed, nor is a source of random numbers that Bun has made close-on-exec, which it does to all that it inherits, and to
 * no source that it opens.
 *
 * @param arena to read a link into
 */
export function closeBunDescriptors(arena: Arena): void {
  const { close, fcntl, readlink } = libc;
  const link = arena.reserve(LINK);
  /** By kind: the descriptor, 0 for none, -1 for several. */
  const found = [0, 0, 0, 0];
  // Bun's have the lowest numbers that were free.
  for (let fd = FIRST; fd < FIRST + MAXIMUM; fd++) {
    const size = Number(readlink(`/proc/self/fd/${fd}`, link, LINK));
    if (size < 0) break;
    for (let kind = 0; kind < KINDS.length; kind++) {
      const [head, tail] = KINDS[kind] as (typeof KINDS)[number];
      if (read.u32(link) !== head || read.u32(link + size - 4) !== tail) continue;
      found[kind] = found[kind] === 0 && (kind !== 2 || fcntl(fd, F_GETFD) === 0) ? fd : -1;
    }
  }
  for (let kind = 0; kind < KINDS.length; kind++) {
    const fd = found[kind] as number;
    if (fd > 0) close(fd);
  }
}
