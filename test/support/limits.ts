/** Resources of setrlimit(2), as numbered in asm-generic/resource.h. */

/** Size of the data: private memory that can be written to, in bytes. */
export const RLIMIT_DATA = 2;
/** Size of the stack, in bytes. */
export const RLIMIT_STACK = 3;
/** Size of a core file, in bytes. */
export const RLIMIT_CORE = 4;
/** Number of processes of the user. */
export const RLIMIT_NPROC = 6;
/** Number of open files. */
export const RLIMIT_NOFILE = 7;
/** Size of the address space, in bytes. */
export const RLIMIT_AS = 9;
