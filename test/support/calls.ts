/** Numbers of system calls, their options and resource limits: asm/unistd.h, linux/prctl.h, asm-generic/resource.h. */

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

/** The number of each call that docs/seccomp.json allows, on x86-64 and on arm64, where some are not: asm/unistd.h. */
const NUMBERS: Readonly<Record<string, readonly [amd64: number, arm64?: number]>> = {
  access: [21],
  arch_prctl: [158],
  brk: [12, 214],
  capget: [125, 90],
  capset: [126, 91],
  chdir: [80, 49],
  clock_gettime: [228, 113],
  clone: [56, 220],
  clone3: [435, 435],
  close: [3, 57],
  close_range: [436, 436],
  epoll_create1: [291, 20],
  epoll_ctl: [233, 21],
  eventfd2: [290, 19],
  execve: [59, 221],
  exit_group: [231, 94],
  faccessat: [269, 48],
  fcntl: [72, 25],
  fstat: [5, 80],
  fstatfs: [138, 44],
  futex: [202, 98],
  getcwd: [79, 17],
  getdents64: [217, 61],
  getpid: [39, 172],
  getppid: [110, 173],
  getrandom: [318, 278],
  gettid: [186, 178],
  ioctl: [16, 29],
  lseek: [8, 62],
  madvise: [28, 233],
  mmap: [9, 222],
  mprotect: [10, 226],
  munmap: [11, 215],
  newfstatat: [262, 79],
  open: [2],
  openat: [257, 56],
  prctl: [157, 167],
  pread64: [17, 67],
  prlimit64: [302, 261],
  read: [0, 63],
  readlink: [89],
  readlinkat: [267, 78],
  rseq: [334, 293],
  rt_sigaction: [13, 134],
  rt_sigprocmask: [14, 135],
  rt_sigreturn: [15, 139],
  rt_sigsuspend: [130, 133],
  rt_sigtimedwait: [128, 137],
  sched_getaffinity: [204, 123],
  sched_yield: [24, 124],
  set_robust_list: [273, 99],
  set_tid_address: [218, 96],
  setgid: [106, 144],
  setgroups: [116, 159],
  setresgid: [119, 149],
  setresuid: [117, 147],
  setuid: [105, 146],
  sigaltstack: [131, 132],
  statx: [332, 291],
  sysinfo: [99, 179],
  time: [201],
  uname: [63, 160],
  wait4: [61, 260],
  write: [1, 64],
};

/** The number of a call on this machine; undefined if it has no such call. Throws at an unknown name. */
export function numberOf(name: string): number | undefined {
  const numbers = NUMBERS[name];
  if (!numbers) throw new Error(`the number of the system call ${name} is not known here`);
  return numbers[ARM64 ? 1 : 0];
}
