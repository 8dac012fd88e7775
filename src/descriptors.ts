/** Closes what Bun holds open for an event loop that will not run. */
import type { Arena } from "./arena.ts";
import { close, readlink } from "./libc.ts";
import { byteAt } from "./memory.ts";

/**
 * Bun opens four descriptors while it starts, each with the lowest number that is free: its epoll instance, the
 * eventfd that wakes it, its source of random numbers, and its own memory statistics. test/rest/rest.test.ts checks that
 * these are all.
 */
const FIRST = 3;
const LAST = 6;

/** The last of them is the statistics, whose link ends in this. */
const STATISTICS = "/statm";
/** Bytes of its link, which is "/proc/PID/statm". */
const LINK = 64;

/**
 * Closes Bun's descriptors if they are the only ones. Inherited descriptors must stay open, as in any C
 * program: with them, Bun's four have other numbers, and all are left alone.
 *
 * @param arena to read a link into
 */
export function closeBunDescriptors(arena: Arena): void {
  const link = arena.reserve(LINK);
  let at = link + readlink(`/proc/self/fd/${LAST}`, link, LINK);
  for (let index = STATISTICS.length - 1; index >= 0; index--) {
    at--;
    if (at < link || byteAt(at) !== STATISTICS.charCodeAt(index)) return;
  }
  for (let fd = FIRST; fd <= LAST; fd++) close(fd);
}
