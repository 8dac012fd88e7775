/** Closes what the runtime holds open for an event loop that will not run. */
import { close, linkOf } from "./libc.ts";

/** How many descriptors the runtime opens while it starts. test/rest.test.ts checks that these are all. */
const OPENED = 4;

/** Descriptors looked at, from 3: each one that was inherited moves the runtime's up by one. */
const HIGHEST = 32;

/**
 * Closes the runtime's descriptors and no other: what was inherited stays open, as it does in any C program. They are
 * told by what `/proc/self/fd` calls them: an epoll instance, the eventfd that wakes it, the source of random numbers,
 * the process's own memory statistics.
 */
export function closeRuntimeDescriptors(): void {
  let closed = 0;
  for (let fd = 3; fd < HIGHEST && closed < OPENED; fd++) {
    const link = linkOf(`/proc/self/fd/${fd}`);
    if (
      link === "anon_inode:[eventpoll]" ||
      link === "anon_inode:[eventfd]" ||
      link === "/dev/urandom" ||
      link.endsWith("/statm")
    ) {
      close(fd);
      closed++;
    }
  }
}
