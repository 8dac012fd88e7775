/**
 * Becomes the program under test: sets up its inheritance (dispositions, blocked and pending signals, descriptors, limits,
 * user, working directory, mounts, a seccomp filter) and calls execve(2). Run as `bun launch.ts JSON`, see subject.ts.
 */
import { dlopen, ptr } from "bun:ffi";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf } from "../../scripts/linux/proc.ts";
import { IGNORED_BY_BUN, signalSet } from "../../scripts/linux/signals.ts";

/** The circumstances of a start. */
export interface Launch {
  readonly program: string;
  /** argv[0]; the program's path if left out. */
  readonly name?: string;
  /** Arguments, one character for each byte (Latin-1), so that any byte but NUL can be passed. */
  readonly args?: readonly string[];
  /** The whole environment; `PATH` alone if left out. */
  readonly env?: Readonly<Record<string, string>>;
  /** Signals to hand down as ignored. */
  readonly ignored?: readonly number[];
  /** Signals to hand down as blocked. */
  readonly blocked?: readonly number[];
  /** Signals to hand down as pending: of those that are blocked. */
  readonly pending?: readonly number[];
  /** Become the parent of every orphan among the descendants, as PID 1 is in its namespace, without a privilege. */
  readonly subreaper?: boolean;
  /**
   * Start in a process group of its own. TSTP, TTIN and TTOU do not stop a process whose group is orphaned, as that of a
   * test run without a terminal is.
   */
  readonly ownGroup?: boolean;
  /** Replacements of descriptors 0, 1 and 2; the test's own if left out. */
  readonly descriptors?: Readonly<Partial<Record<0 | 1 | 2, "closed" | "full" | "broken pipe">>>;
  /** Resource limits, soft and hard alike: number of RLIMIT_*, value. */
  readonly limits?: readonly (readonly [resource: number, value: number])[];
  /** User and group to run as. */
  readonly user?: number;
  /** Run in a working directory that has been removed. */
  readonly unlinkedDirectory?: boolean;
  /** Files, or empty folders, mounted over paths in a mount namespace of its own. As PID 1, or root. */
  readonly covered?: readonly (readonly [path: string, file?: string])[];
  /** Executable memory is forbidden (W^X): PR_SET_MDWE of prctl(2). */
  readonly noNewCode?: boolean;
  /** Run with the root file system mounted read-only, in a mount namespace of its own. */
  readonly readOnlyRoot?: boolean;
  /** Start with a child that has died and has not been reaped: a zombie. For PID 1 of a namespace, or a subreaper. */
  readonly deadChild?: boolean;
  /** System calls that fail: number, and the first argument they must have. */
  readonly refused?: readonly (readonly [call: number, firstArgument?: number])[];
  /** The system calls that do not fail, by their numbers: all others do. Not with `refused`. */
  readonly allowed?: readonly number[];
  /** The errno of those that fail; EPERM if left out. */
  readonly refusal?: number;
  /** The folder to make the root, as root. */
  readonly rootFolder?: string;
}

/** The bytes of `text` in UTF-8, for `vector`: paths need it. */
const bytesOf = (text: string): string => Buffer.from(text).toString("latin1");

const [SIG_DFL, SIG_IGN, SIG_BLOCK] = [0, 1, 0] as const;
const EPERM = 1;
const [O_RDWR, CLONE_NEWNS, CLOSE_RANGE_CLOEXEC] = [2, 0x20000, 4];
const [MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE] = [1, 32, 4096, 16384, 1 << 18];
const [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS] = [22, 2, 36, 38];
const [PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN] = [65, 1];

const { symbols: libc } = dlopen("libc.so.6", {
  chdir: { args: ["cstring"], returns: "i32" },
  chroot: { args: ["cstring"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  close_range: { args: ["u32", "u32", "i32"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  execve: { args: ["cstring", "ptr", "ptr"], returns: "i32" },
  mount: { args: ["cstring", "cstring", "ptr", "u64", "ptr"], returns: "i32" },
  open: { args: ["cstring", "i32"], returns: "i32" },
  pipe: { args: ["ptr"], returns: "i32" },
  prctl: { args: ["i32", "u64", "ptr", "u64", "u64"], returns: "i32" },
  raise: { args: ["i32"], returns: "i32" },
  setgid: { args: ["u32"], returns: "i32" },
  setgroups: { args: ["u64", "ptr"], returns: "i32" },
  setpgid: { args: ["i32", "i32"], returns: "i32" },
  setrlimit: { args: ["i32", "ptr"], returns: "i32" },
  setuid: { args: ["u32"], returns: "i32" },
  sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  sigprocmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
});

/** Ends the launch when a call fails: a case that could not be set up must not be compared. */
function must(result: number, what: string): number {
  if (result >= 0) return result;
  process.stderr.write(`launch: ${what} failed\n`);
  process.exit(125);
}

/** Sets the action of `signal`: sigaction(2), whose `struct sigaction` is 152 bytes with `sa_handler` at 0. */
function act(signal: number, handler: typeof SIG_DFL | typeof SIG_IGN): void {
  const action = new Uint32Array(38);
  action[0] = handler;
  must(libc.sigaction(signal, action, null), `sigaction of ${signal}`);
}

/** An instruction of a seccomp program: its code, the number of instructions skipped if a comparison fails, a value. */
type Step = readonly [code: number, jumpIfNot: number, value: number];

/** A seccomp program that fails the refused calls and allows the others: seccomp(2), struct sock_filter of 8 bytes. */
function filter({ refused = [], allowed, refusal = EPERM }: Launch): Uint8Array {
  const [LOAD, JUMP_IF_EQUAL, RETURN, ALLOW, ERRNO] = [0x20, 0x15, 0x06, 0x7fff0000, 0x00050000];
  const [NUMBER, FIRST_ARGUMENT] = [0, 16];
  const [listed, rest] = allowed ? [ALLOW, ERRNO | refusal] : [ERRNO | refusal, ALLOW];
  const calls = allowed?.map((call) => [call] as const) ?? refused;
  const steps = calls.flatMap(([call, argument]: readonly [number, number?]): Step[] => [
    [LOAD, 0, NUMBER],
    [JUMP_IF_EQUAL, argument === undefined ? 1 : 3, call],
    ...(argument === undefined
      ? []
      : ([
          [LOAD, 0, FIRST_ARGUMENT],
          [JUMP_IF_EQUAL, 1, argument],
        ] as const)),
    [RETURN, 0, listed],
  ]);
  const program = new DataView(new ArrayBuffer((steps.length + 1) * 8));
  [...steps, [RETURN, 0, rest] as const].forEach(([code, jumpIfNot, value], index) => {
    program.setUint16(index * 8, code, true);
    program.setUint8(index * 8 + 3, jumpIfNot);
    program.setUint32(index * 8 + 4, value, true);
  });
  return new Uint8Array(program.buffer);
}

/** Replaces descriptor `fd`, or closes it. */
function spoil(fd: number, how: "closed" | "full" | "broken pipe"): void {
  if (how === "closed") must(libc.close(fd), "close");
  if (how === "full") must(libc.dup2(must(libc.open("/dev/full", O_RDWR), "open"), fd), "dup2");
  if (how === "broken pipe") {
    const ends = new Int32Array(2);
    must(libc.pipe(ends), "pipe");
    must(libc.dup2(ends[1] as number, fd), "dup2");
    for (const end of ends) if (end > 2) libc.close(end);
  }
}

/** A NULL-terminated vector of C strings, of which each character is a byte, and the memory it points to. */
function vector(strings: readonly string[]): { readonly vector: BigUint64Array; readonly memory: Buffer[] } {
  const memory = strings.map((text) => Buffer.from(`${text}\0`, "latin1"));
  return { vector: BigUint64Array.from([...memory.map((bytes) => BigInt(ptr(bytes))), 0n]), memory };
}

/**
 * Sets everything up and becomes the program. The order matters: privileges go after the calls that need them, the
 * filter last.
 */
function launch(spec: Launch): void {
  if (spec.readOnlyRoot) {
    must(libc.unshare(CLONE_NEWNS), "unshare");
    must(libc.mount("none", "/", null, MS_REC | MS_PRIVATE, null), "mount private");
    must(libc.mount("none", "/", null, MS_REMOUNT | MS_BIND | MS_RDONLY, null), "mount read-only");
  }
  if (spec.unlinkedDirectory) {
    const folder = mkdtempSync(join(tmpdir(), "pause-gone-"));
    process.chdir(folder);
    rmdirSync(folder);
  }
  if (spec.ownGroup) must(libc.setpgid(0, 0), "setpgid");
  if (spec.subreaper) must(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, null, 0, 0), "subreaper");
  if (spec.deadChild) {
    // An orphan from the shell becomes a child of PID 1: nothing in this process reaps it.
    Bun.spawnSync(["sh", "-c", "sleep 0.05 &"]);
    while (!childrenOf(process.pid).some((child) => child.state === "Z")) Bun.sleepSync(1);
  }
  if (spec.covered) must(libc.unshare(CLONE_NEWNS), "unshare");
  for (const [path, file] of spec.covered ?? []) {
    const [source, type, flags] = file === undefined ? ["none", "tmpfs", 0] : [file, "", MS_BIND];
    must(libc.mount(source, path, ptr(Buffer.from(`${type}\0`)), flags, null), `mount over ${path}`);
  }
  const argv = vector([bytesOf(spec.name ?? spec.program), ...(spec.args ?? [])]);
  const environment = vector(
    Object.entries(spec.env ?? { PATH: "/usr/bin:/bin" }).map(([key, value]) => bytesOf(`${key}=${value}`)),
  );
  if (spec.rootFolder !== undefined) {
    must(libc.chroot(spec.rootFolder), "chroot");
    must(libc.chdir("/"), "chdir");
  }
  if (spec.user !== undefined) {
    must(libc.setgroups(0, null), "setgroups");
    must(libc.setgid(spec.user), "setgid");
    must(libc.setuid(spec.user), "setuid");
  }
  for (const [fd, how] of Object.entries(spec.descriptors ?? {})) spoil(Number(fd), how);
  for (const signal of IGNORED_BY_BUN) act(signal, SIG_DFL);
  for (const signal of spec.ignored ?? []) act(signal, SIG_IGN);
  libc.sigprocmask(SIG_BLOCK, signalSet(...(spec.blocked ?? [])), null);
  // To this thread, the one that stays: one of Bun's other threads would take it. Pending, it outlives execve(2).
  for (const signal of spec.pending ?? []) libc.raise(signal);
  const limits = (spec.limits ?? []).map(
    ([resource, value]) => [resource, BigUint64Array.from([BigInt(value), BigInt(value)])] as const,
  );
  // Last but for the filter, with nothing left to allocate: where memory is limited Bun itself may not get more.
  for (const [resource, value] of limits) must(libc.setrlimit(resource, value), "setrlimit");
  if (spec.noNewCode) must(libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, null, 0, 0), "prctl(PR_SET_MDWE)");
  // Bun, which runs this file, leaves descriptors of its own open.
  libc.close_range(3, ~0 >>> 0, CLOSE_RANGE_CLOEXEC);
  if (spec.refused || spec.allowed) {
    const program = filter(spec);
    const header = BigUint64Array.from([BigInt(program.length / 8), BigInt(ptr(program))]);
    must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, null, 0, 0), "no_new_privs");
    must(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0), "seccomp");
  }
  libc.execve(spec.program, argv.vector, environment.vector);
  must(-1, `execve ${spec.program}`);
}

if (import.meta.main) launch(JSON.parse(process.argv[2] ?? "{}") as Launch);
