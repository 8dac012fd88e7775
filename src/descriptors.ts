/** Closes what the runtime holds open for an event loop that will not run. */
import { close, linkEndsIn } from "./libc.ts";

/**
 * The runtime opens four descriptors while it starts, each with the lowest number that is free: its epoll instance, the
 * eventfd that wakes it, its source of random numbers, and its own memory statistics. test/rest.test.ts checks that
 * these are all.
 */
const FIRST = 3;
const LAST = 6;

/**
 * Closes the runtime's descriptors if they are the only ones. What was inherited must stay open, as it does in any C
 * program: then the numbers of the four are others, and all are left alone.
 */
export function closeRuntimeDescriptors(): void {
  const alone = linkEndsIn(LAST, "/statm");
  for (let fd = FIRST; alone && fd <= LAST; fd++) close(fd);
}
