/**
 * The binding to libc: every C function that JavaScript calls, and the layouts of what they take.
 *
 * The values and layouts are those of Linux with glibc on x86-64 and on arm64, where they are the same
 * (asm-generic/signal.h, bits/sigaction.h, bits/types/__sigset_t.h); both machines are little-endian.
 */
import { dlopen, read } from "./ffi.ts";

/** Interrupt from the keyboard: signal(7). */
export const SIGINT = 2;
/** Termination: signal(7). */
export const SIGTERM = 15;
/** A child stopped, continued or died: signal(7). */
export const SIGCHLD = 17;

/** The default disposition, a null handler: bits/signum-generic.h. */
export const SIG_DFL = 0;
/** sigaction(2): no SIGCHLD for a child that stops or continues (bits/sigaction.h). */
export const SA_NOCLDSTOP = 1;
/** sigaction(2): the kernel reaps children itself as they die (bits/sigaction.h). */
export const SA_NOCLDWAIT = 2;
/** madvise(2): give the pages back; they read as zero from then on (bits/mman-linux.h). */
export const MADV_DONTNEED = 4;

// prctl(2): linux/prctl.h. The last is the value of PR_SET_SECCOMP, linux/seccomp.h.
/** Whether other processes of the user may look into this one. */
export const PR_SET_DUMPABLE = 4;
/** Whether a seccomp filter judges this process's system calls: 0 if none does. */
export const PR_GET_SECCOMP = 21;
/** A seccomp filter that judges this process's system calls from now on. */
export const PR_SET_SECCOMP = 22;
/** Whether a program that it becomes may have more privileges. */
export const PR_SET_NO_NEW_PRIVS = 38;
/** A filter is a program of `struct sock_filter`. */
export const SECCOMP_MODE_FILTER = 2;

/** File descriptor of standard output: stdin(3). */
export const STDOUT = 1;
/** File descriptor of standard error: stdin(3). */
export const STDERR = 2;

/** sigprocmask(2): add the set to the blocked signals (bits/sigaction.h). */
const SIG_BLOCK = 0;
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

/** What every start needs: to look up symbols, to print and to exit. */
const bindStart = () =>
  dlopen(LIBC, {
    _exit: { args: ["i32"], returns: "void" },
    dlsym: { args: ["ptr", "cstring"], returns: "ptr" },
    write: { args: ["i32", "cstring", "u64"], returns: "i64" },
  }).symbols;

/** What the init loop needs as well. */
const bindLoop = () =>
  dlopen(LIBC, {
    __cxa_atexit: { args: ["u64", "u64", "u64"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
    exit: { args: ["i32"], returns: "void" },
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

type Loop = ReturnType<typeof bindLoop>;

let symbols: ReturnType<typeof bindStart>;
let loop: Loop;

/**
 * Binds what every start needs, before anything else here is called. Throws where no memory may become code: for each function
 * Bun compiles a call.
 */
export function bindFirst(): void {
  symbols = bindStart();
}

/**
 * Binds what the init loop needs. Each function that is bound is compiled, whether it is called or not: printing the
 * version should not wait for it.
 */
export function bind(): void {
  loop = bindLoop();
}

/** Bytes of a `sigset_t`: signal `n` is bit `n - 1`, counted from the lowest bit of the first. The kernel reads the first 8. */
export const SIGNAL_SET = 128;

/**
 * Blocks the signals of the `sigset_t` at `set` in this thread and stores the mask as it was at `before`: sigprocmask(2).
 * Throws where a filter refuses the call, which every later step takes: setcontext(3) would fail, and with it the wait.
 */
export function blockSignals(set: Address, before: Address): void {
  if (loop.sigprocmask(SIG_BLOCK, set, before) < 0)
    throw new Error("cannot hold signals back: a filter refuses sigprocmask(2)");
}

/**
 * Bytes of a `struct sigaction`: `sa_handler` at 0 (8 bytes), `sa_mask` at 8 (128), `sa_flags` at 136 (4),
 * `sa_restorer` at 144 (8, set by libc itself).
 */
export const ACTION = 152;

/** Sets what `signal` does to the `struct sigaction` at `action`: sigaction(2). Returns 0, or -1 when the kernel refused. */
export function sigaction(signal: number, action: Address): number {
  return loop.sigaction(signal, action, 0);
}

/** The number of the system call sigsuspend(2): asm/unistd.h. */
export const RT_SIGSUSPEND = process.arch === "arm64" ? 133 : 130;

/** What a system call returns for a bad argument: an address where nothing is mapped, an invalid size. asm-generic/errno-base.h. */
const [EFAULT, EINVAL] = [14, 22];

/**
 * Whether the kernel takes a sigsuspend(2). It is called with arguments that it must refuse before it waits, for two
 * different reasons: a set of size 0, and a set at NULL. A filter that refuses the call answers both alike.
 */
export function takesSigsuspend(): boolean {
  // Bound here: without a filter this is never called.
  const { syscall, __errno_location } = dlopen(LIBC, {
    __errno_location: { args: [], returns: "ptr" },
    syscall: { args: ["i64", "u64", "u64"], returns: "i64" },
  }).symbols;
  const errno = Number(__errno_location());
  syscall(RT_SIGSUSPEND, 0, 0);
  const noSize = read.i32(errno);
  syscall(RT_SIGSUSPEND, 0, 8);
  return noSize === EINVAL && read.i32(errno) === EFAULT;
}

/**
 * Reaps children that have died until none is left: waitpid(2) with -1, no status, `WNOHANG`.
 * The loop calls C directly: a JavaScript function in between would be hot enough after 30 rounds for JavaScriptCore to
 * start compiler threads.
 */
export function reapAll(): void {
  const { waitpid } = loop;
  while (waitpid(-1, 0, WNOHANG) > 0);
}

/** This process's ID in its own PID namespace: getpid(2). */
export function getpid(): number {
  return loop.getpid();
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
  loop.exit(code);
  throw new Error("unreachable: exit(3) does not return");
}

/**
 * Makes exit(3) call `f(argument)`: __cxa_atexit of the Linux Standard Base. glibc adds the status as second argument.
 * It cannot fail before all 32 static places are taken.
 */
export function atExit(f: Address, argument: Address): void {
  loop.__cxa_atexit(f, argument, 0);
}

/** The address of libc's function or variable `name`: dlsym(3). 0 if there is none. */
export function addressOf(name: string): Address {
  return Number(symbols.dlsym(null, name));
}

/** Where this thread's control block lies, which is in the middle of its thread-local storage: pthread_self(3). */
export function threadPointer(): Address {
  return Number(loop.pthread_self());
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

/** What mmap(2) returns when the kernel refuses: MAP_FAILED, as an address. */
const MAP_FAILED = 2 ** 64;

/** Maps `size` bytes of zeros, which are not JavaScript's: at `hint` if nothing is there, or elsewhere: mmap(2). Throws when the kernel refuses. */
export function map(size: number, hint: Address): Address {
  const address = Number(loop.mmap(hint, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0));
  if (address === MAP_FAILED) throw new Error(`no memory: mmap(2) of ${size} bytes was refused`);
  return address;
}

/**
 * What writes to memory: `wmemset(address, word, count)` stores words of 4 bytes, wmemset(3), and `strcpy(address, text)` a
 * text and a NUL, strcpy(3). Handed out unwrapped, like those below: a wrapper would be called often enough to be compiled.
 */
export function writers(): Pick<Loop, "wmemset" | "strcpy"> {
  return loop;
}

/**
 * Functions that read a file and the numbers in it: `open(path, 0)`, open(2), `read(fd, address, size)`, read(2),
 * `strchr(address, byte)`, strchr(3), and `strtoul(address, reached, base)`, strtoul(3), which stores how far it read at
 * `reached`.
 */
export function readers(): Pick<Loop, "open" | "read" | "strchr" | "strtoul"> {
  return loop;
}

/**
 * Functions that make a `ucontext_t`: `getcontext(context)` fills it in with the present state of this thread, getcontext(3);
 * `makecontext(context, f, 5, …)` makes it call `f` with five arguments once its stack and link are set, makecontext(3).
 */
export function makers(): Pick<Loop, "getcontext" | "makecontext" | "wmemset"> {
  return loop;
}

/** An address in libc's heap, of `size` bytes that are never freed: malloc(3). 0 if there is no memory. */
export function allocate(size: number): Address {
  return Number(loop.malloc(size));
}

/** What the kernel has told the process about itself as `type`, AT_* of elf.h: getauxval(3). 0 if it has not. */
export function auxiliary(type: number): number {
  return Number(loop.getauxval(type));
}

/** Closes a descriptor: close(2). */
export function close(fd: number): void {
  loop.close(fd);
}

/**
 * Stores what the symbolic link `path` says at `address`, `size` bytes at most and without a NUL: readlink(2).
 * Returns how many bytes it is, or -1 if there is no such link.
 */
export function readlink(path: string, address: Address, size: number): number {
  return Number(loop.readlink(path, address, size));
}

/** Sets a property of this process: prctl(2) with two arguments and zeros. Returns 0, or -1 when it is refused. */
export function prctl(option: number, value: number, address: Address = 0): number {
  return loop.prctl(option, value, address, 0, 0);
}
