/** Locks the process: from then on it can wait, give memory back, write to standard error and end, and nothing else. */
import type { Arena } from "./arena.ts";
import { libc } from "./libc.ts";

// prctl(2): linux/prctl.h. The last is the value of PR_SET_SECCOMP, linux/seccomp.h.
/** Other processes of the user may look into this one, or not. */
const PR_SET_DUMPABLE = 4;
/** A seccomp filter that judges this process's system calls from now on. */
const PR_SET_SECCOMP = 22;
/** No program that this one becomes has more privileges. */
const PR_SET_NO_NEW_PRIVS = 38;
/** A filter is a program of `struct sock_filter`. */
const SECCOMP_MODE_FILTER = 2;

// Instructions: linux/bpf_common.h.
const LOAD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
// Offsets into struct seccomp_data, and verdicts: linux/seccomp.h.
const NUMBER = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;
const ALLOW = 0x7fff0000;
/** A refused call gets an error (EPERM) and not a kill: an accident must not end a pod. */
const REFUSE = 0x00050001;

/**
 * The filter, for this machine's AUDIT_ARCH_* (linux/audit.h) and call numbers (asm/unistd.h). It allows the wait,
 * the return from a handler, setting the mask and giving back memory on the way to the wait, the end of the process,
 * and writing to descriptor 2.
 *
 * Each `struct sock_filter` is 8 bytes: the instruction (2), how many to skip if true (1) and if false (1), a value (4).
 */
function filter(isShared: boolean): readonly number[] {
  const [machine, sigsuspend, sigtimedwait, sigreturn, sigprocmask, munmap, madvise, exit, write] =
    process.arch === "arm64"
      ? ([0xc00000b7, 133, 137, 139, 135, 215, 233, 94, 64] as const)
      : ([0xc000003e, 130, 128, 15, 14, 11, 28, 231, 1] as const);
  // biome-ignore format: an instruction a line
  return [
    LOAD, ARCHITECTURE,
    JUMP_IF_EQUAL | (11 << 24), machine,
    LOAD, NUMBER,
    JUMP_IF_EQUAL | (8 << 16), isShared ? sigtimedwait : sigsuspend,
    JUMP_IF_EQUAL | (7 << 16), sigreturn,
    JUMP_IF_EQUAL | (6 << 16), sigprocmask,
    JUMP_IF_EQUAL | (5 << 16), munmap,
    JUMP_IF_EQUAL | (4 << 16), madvise,
    JUMP_IF_EQUAL | (3 << 16), exit,
    JUMP_IF_EQUAL | (3 << 24), write,
    LOAD, FIRST_ARGUMENT,
    JUMP_IF_EQUAL | (1 << 24), 2,
    RETURN, ALLOW,
    RETURN, REFUSE,
  ];
}

/**
 * No new privileges, not dumpable (no other process without CAP_SYS_PTRACE may trace it or open its memory and
 * descriptors), and the filter. None of it can be undone.
 *
 * @param arena to lay the filter out in
 * @param isShared true if the wait is sigwait(3)
 * @returns what the kernel refused, the name of the first such measure; undefined when all are in force
 */
export function lock(arena: Arena, isShared: boolean): string | undefined {
  const { prctl } = libc;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) return "no_new_privs";
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) !== 0) return "dumpable";
  const instructions = filter(isShared);
  // struct sock_fprog: the number of instructions (2 bytes) at 0, their address (8) at 8.
  const program = arena.reserve(16);
  arena.store(program, [instructions.length / 2, arena.place(instructions)]);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) !== 0) return "seccomp";
  return undefined;
}
