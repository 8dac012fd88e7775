/**
 * The binding to libc: every C function that JavaScript calls, and the layouts of what they take.
 *
 * The values and layouts are those of Linux with glibc on x86-64 and on arm64, where they are the same
 * (asm-generic/signal.h, bits/sigaction.h, bits/types/__sigset_t.h); both machines are little-endian.
 */
import { dlopen } from "./ffi.ts";

/** Interrupt from the keyboard: signal(7). */
export const SIGINT = 2;
/** Termination: signal(7). */
export const SIGTERM = 15;
/** A child stopped, continued or died: signal(7). */
export const SIGCHLD = 17;

/** Nothing happens: bits/signum-generic.h. */
export const SIG_IGN = 1;
/** sigaction(2): no SIGCHLD for a child that stops or continues (bits/sigaction.h). */
export const SA_NOCLDSTOP = 1;
/** sigaction(2): the kernel reaps children itself as they die (bits/sigaction.h). */
export const SA_NOCLDWAIT = 2;
/** madvise(2): give the pages back; they read as zero from then on (bits/mman-linux.h). */
export const MADV_DONTNEED = 4;

/** File descriptor of standard output: stdin(3). */
export const STDOUT = 1;
/** File descriptor of standard error: stdin(3). */
export const STDERR = 2;

/** waitpid(2): return at once when no child has died (bits/waitflags.h). */
const WNOHANG = 1;

/** An address in this process, a whole number below 2^48; 0 is NULL. */
export type Address = number;

/** A stretch of addresses. */
export interface Range {
  /** Address of its first byte. */
  readonly start: Address;
  /** Address behind its last byte. */
  readonly end: Address;
}

/** glibc, by the name under which the loader has loaded it already. */
const LIBC = "libc.so.6";

/** The functions of every start: they look up symbols, print and exit. */
const bindStart = () =>
  dlopen(LIBC, {
    _exit: { args: ["i32"], returns: "void" },
    dlsym: { args: ["ptr", "cstring"], returns: "ptr" },
    write: { args: ["i32", "cstring", "u64"], returns: "i64" },
  }).symbols;

/** The functions of the init loop. */
const bindLoop = () =>
  dlopen(LIBC, {
    __cxa_atexit: { args: ["u64", "u64", "u64"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
    exit: { args: ["i32"], returns: "void" },
    fcntl: { args: ["i32", "i32"], returns: "i32" },
    getauxval: { args: ["u64"], returns: "ptr" },
    getcontext: { args: ["u64"], returns: "i32" },
    getpid: { args: [], returns: "i32" },
    makecontext: { args: ["u64", "u64", "i32", "u64", "u64", "u64", "u64", "u64"], returns: "void" },
    malloc: { args: ["u64"], returns: "ptr" },
    mmap: { args: ["u64", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
    open: { args: ["cstring", "i32"], returns: "i32" },
    prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
    pthread_self: { args: [], returns: "ptr" },
    read: { args: ["i32", "u64", "u64"], returns: "i64" },
    readlink: { args: ["cstring", "u64", "u64"], returns: "i64" },
    sigaction: { args: ["i32", "u64", "u64"], returns: "i32" },
    sigprocmask: { args: ["i32", "u64", "u64"], returns: "i32" },
    strchr: { args: ["u64", "i32"], returns: "ptr" },
    strcpy: { args: ["u64", "cstring"], returns: "ptr" },
    strtoul: { args: ["u64", "u64", "i32"], returns: "ptr" },
    waitpid: { args: ["i32", "u64", "i32"], returns: "i32" },
    wmemset: { args: ["u64", "i32", "u64"], returns: "ptr" },
  }).symbols;

let symbols: ReturnType<typeof bindStart>;

/**
 * The init loop's functions of libc by their names there, once `bind` has bound them. Called directly: a function in between
 * would be called often enough for JavaScriptCore to start compiler threads.
 */
export let libc: ReturnType<typeof bindLoop>;

/**
 * Binds the functions of every start, before anything else here is called. Throws where executable memory is forbidden (W^X):
 * for each function Bun compiles a call.
 */
export function bindFirst(): void {
  symbols = bindStart();
}

/**
 * Binds the functions of the init loop. Each is compiled, called or not: printing the version should not wait for it.
 */
export function bind(): void {
  libc = bindLoop();
}

/** Reaps children that have died until none is left: waitpid(2) with -1, no status, `WNOHANG`. */
export function reapAll(): void {
  const { waitpid } = libc;
  while (waitpid(-1, 0, WNOHANG) > 0);
}

/**
 * Writes `text`, which must be ASCII, to `fd`: write(2).
 * Like printf(3) in a C program, it ignores errors: there is nowhere to report them.
 */
export function write(fd: number, text: string): void {
  symbols.write(fd, text, text.length);
}

/** Ends the process at once with status `code` (0 to 255): _exit(2). */
export function exitNow(code: number): never {
  symbols._exit(code);
  throw new Error("unreachable: _exit(2) does not return");
}

/**
 * Ends the process in an orderly way: exit(3). The C and C++ runtimes run the destructors of this thread, then the
 * functions registered with atExit, the last one first.
 */
export function exit(code: number): never {
  libc.exit(code);
  throw new Error("unreachable: exit(3) does not return");
}

/**
 * Makes exit(3) call `f(argument)`: __cxa_atexit of the Linux Standard Base. glibc adds the status as second argument.
 * It cannot fail before all 32 static places are taken.
 */
export function atExit(f: Address, argument: Address): void {
  libc.__cxa_atexit(f, argument, 0);
}

/** The address of libc's function or variable `name`: dlsym(3). 0 if there is none. */
export function addressOf(name: string): Address {
  return Number(symbols.dlsym(null, name));
}

/** The size of a page in bytes: 4,096 on x86-64; on arm64 that, 16,384 or 65,536, see getpagesize(2). */
export function pageSize(): number {
  if (process.arch !== "arm64") return 4096;
  return dlopen(LIBC, { getpagesize: { args: [], returns: "i32" } }).symbols.getpagesize();
}

/** mmap(2): readable and writable (bits/mman-linux.h). */
const PROT_READ_WRITE = 3;
/** mmap(2): private and of no file (bits/mman-linux.h). */
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** mmap(2): the kernel refused, MAP_FAILED as an address. */
const MAP_FAILED = 2 ** 64;

/** Maps `size` bytes of zeros, which are not JavaScript's: at `hint` if nothing is there, or elsewhere: mmap(2). Throws when the kernel refuses. */
export function map(size: number, hint: Address): Address {
  const address = Number(libc.mmap(hint, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0));
  if (address === MAP_FAILED) throw new Error(`no memory: mmap(2) of ${size} bytes was refused`);
  return address;
}
