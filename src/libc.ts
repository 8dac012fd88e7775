/**
 * The binding to libc: every C function that JavaScript calls, and the layouts of what they take.
 *
 * The values and layouts are those of Linux with glibc on x86-64 and on arm64, where they are the same
 * (asm-generic/signal.h, bits/sigaction.h, bits/types/__sigset_t.h); both machines are little-endian.
 */
import { dlopen, ptr, read, toArrayBuffer } from "./ffi.ts";

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
/** sigaction(2): back to the default action once the handler is called (bits/sigaction.h). */
export const SA_RESETHAND = 0x80000000;
/** madvise(2): give the pages back; they read as zero from then on (bits/mman-linux.h). */
export const MADV_DONTNEED = 4;

/** File descriptor of standard error: stdin(3). */
export const STDERR = 2;

/** sigprocmask(2): add the set to the blocked signals (bits/sigaction.h). */
const SIG_BLOCK = 0;
/** waitpid(2): return at once when no child has died (bits/waitflags.h). */
const WNOHANG = 1;

/** An address in this process, a whole number below 2^48; 0 is NULL. */
export type Address = number;

/** glibc, by the name under which the runtime has loaded it already. */
const LIBC = "libc.so.6";

const { symbols } = dlopen(LIBC, {
  __cxa_atexit: { args: ["u64", "u64", "ptr"], returns: "i32" },
  _exit: { args: ["i32"], returns: "void" },
  close: { args: ["i32"], returns: "i32" },
  dlopen: { args: ["cstring", "i32"], returns: "ptr" },
  dlsym: { args: ["ptr", "cstring"], returns: "ptr" },
  exit: { args: ["i32"], returns: "void" },
  getcontext: { args: ["u64"], returns: "i32" },
  getpagesize: { args: [], returns: "i32" },
  getpid: { args: [], returns: "i32" },
  makecontext: { args: ["u64", "u64", "i32", "u64", "u64", "u64", "u64", "u64"], returns: "void" },
  mmap: { args: ["u64", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  on_exit: { args: ["u64", "u64"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  pthread_self: { args: [], returns: "ptr" },
  raise: { args: ["i32"], returns: "i32" },
  readlink: { args: ["cstring", "ptr", "i32"], returns: "i32" },
  sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  sigprocmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  sigsuspend: { args: ["ptr"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
  write: { args: ["i32", "cstring", "u64"], returns: "i64" },
});

/**
 * A `sigset_t`: 128 bytes, signal `n` is bit `n - 1`, counted from the lowest bit of the first word.
 * The kernel reads the first 8 bytes.
 */
export type SignalSet = Uint32Array<ArrayBuffer>;

/** Makes a `sigset_t` that holds `signals` (1 to 64) and no other: sigemptyset(3), sigaddset(3). */
export function signalSet(...signals: readonly number[]): SignalSet {
  const set = new Uint32Array(32);
  for (const signal of signals) {
    const bit = signal - 1;
    set[bit >> 5] = (set[bit >> 5] ?? 0) | (1 << (bit & 31));
  }
  return set;
}

/**
 * Blocks the signals of `set` in this thread and returns the mask as it was: sigprocmask(2).
 * It cannot fail: `SIG_BLOCK` is valid and both sets are memory of ours.
 */
export function block(set: SignalSet): SignalSet {
  const before = signalSet();
  symbols.sigprocmask(SIG_BLOCK, set, before);
  return before;
}

/**
 * Sets what `signal` does: sigaction(2).
 *
 * `struct sigaction` is 152 bytes: `sa_handler` at 0 (8 bytes), `sa_mask` at 8 (128), `sa_flags` at 136 (4),
 * `sa_restorer` at 144 (8, set by libc itself).
 *
 * @param handler address of a function that takes an `int`, or `SIG_DFL`
 * @param mask signals that wait while the handler runs
 * @param flags `SA_*`
 * @returns 0, or -1 when the kernel refused
 */
export function sigaction(signal: number, handler: Address, mask?: SignalSet, flags = 0): number {
  const action = new Uint32Array(38);
  action[0] = handler; // The low word: storing to a Uint32Array keeps a number's lowest 32 bits.
  action[1] = handler / 2 ** 32;
  if (mask) action.set(mask, 2);
  action[34] = flags;
  return symbols.sigaction(signal, action, null);
}

/** Whether `signal` has the default action now: sigaction(2) without a new one, whose answer has `sa_handler` at 0. */
export function isDefault(signal: number): boolean {
  const action = new Uint32Array(38);
  symbols.sigaction(signal, null, action);
  return action[0] === SIG_DFL && action[1] === SIG_DFL;
}

/**
 * Sleeps with `mask` as the blocked signals until a handler has run, then puts the mask back: sigsuspend(2).
 *
 * This is `pause(2)` with the mask swapped atomically. With pause itself a signal could come between unblocking
 * and sleeping, and its handler would be over before the sleep began.
 */
export function sigsuspend(mask: SignalSet): void {
  symbols.sigsuspend(mask);
}

/** Sends `signal` to this thread: raise(3). If it is blocked it waits. */
export function raise(signal: number): void {
  symbols.raise(signal);
}

/**
 * Reaps children that have died until none is left: waitpid(2) with -1, no status, `WNOHANG`.
 * The loop calls C directly: a JavaScript function in between would be hot enough after 30 rounds for the engine to
 * start compiler threads.
 */
export function reapAll(): void {
  while (symbols.waitpid(-1, null, WNOHANG) > 0);
}

/** This process's ID in its own PID namespace: getpid(2). */
export function getpid(): number {
  return symbols.getpid();
}

/**
 * Writes `text`, which must be ASCII, to `fd`: write(2).
 * Like a C program's printf it leaves an error unmentioned: there is nowhere to say it.
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
 * Ends the process in the orderly way: exit(3). The C and C++ runtimes run the destructors of this thread, then the
 * functions registered with onExit and atExit, the last one first.
 */
export function exit(code: number): never {
  symbols.exit(code);
  throw new Error("unreachable: exit(3) does not return");
}

/** Has exit(3) call `f(status, argument)`: on_exit(3). It cannot fail before all 32 static places are taken. */
export function onExit(f: Address, argument: Address): void {
  symbols.on_exit(f, argument);
}

/** Has exit(3) call `f(argument, status)`: __cxa_atexit of the Linux Standard Base. It cannot fail before all 32 static places are taken. */
export function atExit(f: Address, argument: Address): void {
  symbols.__cxa_atexit(f, argument, null);
}

/** The address of libc's function or variable `name`: dlsym(3). 0 if there is none. */
export function addressOf(name: string): Address {
  return Number(symbols.dlsym(null, name));
}

/**
 * Where libc begins in memory: dlopen(3) with RTLD_NOLOAD (4) and RTLD_LAZY (1), whose handle is a `struct link_map` with
 * `l_addr` at 0 (link.h).
 */
export function libcBase(): Address {
  return pointerAt(Number(symbols.dlopen(LIBC, 5)));
}

/** Where this thread's control block lies, which is in the middle of its thread-local storage: pthread_self(3). */
export function threadPointer(): Address {
  return Number(symbols.pthread_self());
}

/** The size of a page in bytes: 4,096 on x86-64; on arm64 that, 16,384 or 65,536, see getpagesize(2). */
export function pageSize(): number {
  return process.arch === "arm64" ? symbols.getpagesize() : 4096;
}

/** mmap(2): readable and writable (bits/mman-linux.h). */
const PROT_READ_WRITE = 3;
/** mmap(2): private and of no file (bits/mman-linux.h). */
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Maps `size` bytes of zeros, which are not JavaScript's: mmap(2). */
export function map(size: number): Address {
  return Number(symbols.mmap(0, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0));
}

/** The `size` bytes at `address`, to read and write. */
export function memoryAt(address: Address, size: number): ArrayBuffer {
  return toArrayBuffer(address, 0, size);
}

/** The address of `data`, which stays its address for as long as something in JavaScript refers to it. */
export function pointerTo(data: NodeJS.TypedArray): Address {
  return ptr(data);
}

/** The address that is stored at `address`. */
export function pointerAt(address: Address): Address {
  return read.ptr(address);
}

/**
 * How many arguments there are, the program's own name included: `argc` lies where the stack began when the kernel
 * handed it over (System V ABI), which the loader keeps. The runtime's own list takes longer to make.
 */
export function argumentCount(): number {
  return read.i32(pointerAt(addressOf("__libc_stack_end")));
}

/**
 * Reads whether this process has never had a second thread: libc, from 2.32 on, notes it in `__libc_single_threaded`
 * (sys/single_threaded.h), whose address is `flag`. False if there is no such variable.
 */
export function isSingleThreaded(flag: Address): boolean {
  return flag !== 0 && read.u8(flag) !== 0;
}

/** Closes a descriptor: close(2). */
export function close(fd: number): void {
  symbols.close(fd);
}

/** Whether what `/proc/self/fd` says of a descriptor has at most 64 bytes and ends in `end`, which must be ASCII: readlink(2). False if it is not open. */
export function linkEndsIn(fd: number, end: string): boolean {
  const bytes = new Uint8Array(64);
  const start = symbols.readlink(`/proc/self/fd/${fd}`, bytes, bytes.length) - end.length;
  let index = end.length - 1;
  while (index >= 0 && bytes[start + index] === end.charCodeAt(index)) index--;
  return index < 0;
}

/** Sets a property of this process: prctl(2) with two arguments and zeros. Returns 0, or -1 when it is refused. */
export function prctl(option: number, value: number, address: Address = 0): number {
  return symbols.prctl(option, value, address, 0, 0);
}

/** PR_GET_SECCOMP of prctl(2): linux/prctl.h. */
const PR_GET_SECCOMP = 21;

/** Whether a seccomp filter judges this process's system calls, or may: prctl(2) with PR_GET_SECCOMP says 0 if none does. */
export function isFiltered(): boolean {
  return prctl(PR_GET_SECCOMP, 0) !== 0;
}

/** Fills in the `ucontext_t` at `context` with the present state of this thread: getcontext(3). */
export function getcontext(context: Address): void {
  symbols.getcontext(context);
}

/** Makes the `ucontext_t` at `context`, whose stack and link are set, call `f` with five arguments: makecontext(3). */
export function makecontext(context: Address, f: Address, a = 0, b = 0, c = 0, d = 0, e = 0): void {
  symbols.makecontext(context, f, 5, a, b, c, d, e);
}
