/** Numbers of system calls, their options and resource limits: asm/unistd.h, linux/prctl.h, asm-generic/resource.h. */
import { dlopen } from "bun:ffi";

const ARM64 = process.arch === "arm64";

/** setrlimit(2): bytes of private memory that can be written to, of the stack and of a core file. */
export const [RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE] = [2, 3, 4];
/** setrlimit(2): processes of the user, open files, and bytes of address space. */
export const [RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_AS] = [6, 7, 9];

/** A number without a call: a filter that refuses it refuses nothing. */
export const NO_CALL = 100_000;
/** prctl(2). */
export const PRCTL = ARM64 ? 167 : 157;
/** prctl(2): makes the process dumpable or not. */
export const PR_SET_DUMPABLE = 4;
/** prctl(2): installs a filter. */
export const PR_SET_SECCOMP = 22;
/** prctl(2): forbids new privileges. */
export const PR_SET_NO_NEW_PRIVS = 38;
/** sigaction(2). */
export const RT_SIGACTION = ARM64 ? 134 : 13;
/** sched_setattr(2), the first call added after Linux 3.13. */
const FIRST_AFTER_3_13 = ARM64 ? 274 : 314;
/** Every call added after Linux 3.13, with room for future ones. */
export const AFTER_3_13: readonly number[] = Array.from(
  { length: 600 - FIRST_AFTER_3_13 },
  (_, index) => FIRST_AFTER_3_13 + index,
);
/** The calls that wait for a signal: sigsuspend(2), and pause(2), which is ppoll(2) on arm64. */
export const WAITS: readonly number[] = ARM64 ? [133, 73] : [130, 34];

/** libseccomp, which comes with apt and systemd; undefined if this machine has none. */
const libseccomp = (() => {
  try {
    return dlopen("libseccomp.so.2", { seccomp_syscall_resolve_name: { args: ["cstring"], returns: "i32" } }).symbols;
  } catch {
    return undefined;
  }
})();

/** The reason to skip what looks up numbers of calls, or undefined. */
export const NEEDS_LIBSECCOMP: string | undefined = libseccomp ? undefined : "not installed: libseccomp2";

/** The number of a call on this machine; NO_CALL if it has no such call, or libseccomp is missing. Throws at an unknown name. */
export function numberOf(name: string): number {
  const number = libseccomp?.seccomp_syscall_resolve_name(Buffer.from(`${name}\0`)) ?? NO_CALL;
  // seccomp_syscall_resolve_name(3): __NR_SCMP_ERROR, and other negative numbers for calls of other machines.
  if (number === -1) throw new Error(`libseccomp does not know the system call ${name}`);
  return number < 0 ? NO_CALL : number;
}
