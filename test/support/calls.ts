/** System calls and their options, for filters that refuse them: asm/unistd.h, linux/prctl.h. */

const ARM64 = process.arch === "arm64";

/** A number that no call has: a filter that refuses it refuses nothing. */
export const NO_CALL = 100_000;
/** prctl(2). */
export const PRCTL = ARM64 ? 167 : 157;
/** prctl(2): whether the process is dumpable. */
export const PR_SET_DUMPABLE = 4;
/** prctl(2): puts a filter on. */
export const PR_SET_SECCOMP = 22;
/** prctl(2): lets no more privileges be had. */
export const PR_SET_NO_NEW_PRIVS = 38;
/** sigaction(2). */
export const RT_SIGACTION = ARM64 ? 134 : 13;
/** sigprocmask(2). */
export const RT_SIGPROCMASK = ARM64 ? 135 : 14;
/** munmap(2). */
export const MUNMAP = ARM64 ? 215 : 11;
/** futex(2). */
export const FUTEX = ARM64 ? 98 : 202;
/** prlimit(2). */
export const PRLIMIT64 = ARM64 ? 261 : 302;
/** eventfd(2). */
export const EVENTFD2 = ARM64 ? 19 : 290;
/** What the loader opens and maps a library with, and a static program does without, by name. */
export const LOADING: Readonly<Record<string, number>> = ARM64
  ? { mmap: 222, openat: 56, newfstatat: 79, read: 63, close: 57 }
  : { mmap: 9, openat: 257, newfstatat: 262, read: 0, pread64: 17, close: 3 };
/** Every call that came after Linux 3.13, from sched_setattr(2) on, and room for those to come. */
export const AFTER_3_13: readonly number[] = Array.from(
  { length: 600 - (ARM64 ? 274 : 314) },
  (_, index) => index + (ARM64 ? 274 : 314),
);
/** All that a wait for a signal can be: sigsuspend(2), and pause(2), which is ppoll(2) on arm64. */
export const WAITS: readonly number[] = ARM64 ? [133, 73] : [130, 34];
