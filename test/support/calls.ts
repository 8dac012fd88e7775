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
/** All that a wait for a signal can be: sigsuspend(2), and pause(2), which is ppoll(2) on arm64. */
export const WAITS: readonly number[] = ARM64 ? [133, 73] : [130, 34];
