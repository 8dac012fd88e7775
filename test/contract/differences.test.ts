/** Each row of scripts/differences.ts still holds: a difference that is gone fails here and leaves the table. */
import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { DIFFERENCES, type Difference, type Title } from "../../scripts/differences.ts";
import { childrenOf, isReady, mask, sleepsWithHandlers, status, until } from "../../scripts/linux/proc.ts";
import { SIGABRT, SIGCHLD, SIGSEGV } from "../../scripts/linux/signals.ts";
import { compileReference, compileStatic } from "../../scripts/reference/compile.ts";
import {
  NEEDS_LIBSECCOMP,
  numberOf,
  RLIMIT_AS,
  RLIMIT_CORE,
  RLIMIT_DATA,
  RLIMIT_NOFILE,
  RLIMIT_STACK,
} from "../support/calls.ts";
import { type Case, observe } from "../support/compare.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { IS_ROOT, NEEDS_MDWE, NEEDS_PID_ONE, notInstalled, testUnless } from "../support/skip.ts";
import { IMAGE_USER, OURS, type Subject, start, startReady, whileRunning } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

/** A way to show a row. */
interface Shown {
  /** Observes a program; the result is the same on every machine. */
  readonly see: (program: string) => Promise<unknown>;
  /** The reference's result, whole. */
  readonly c: unknown;
  /** The result of ours; of an object, as much as is given here. */
  readonly ours: unknown;
  /** The part that this machine lacks for it. */
  readonly missing?: string | undefined;
}

const MIB = 2 ** 20;
/** KiB of a page. */
const PAGE = Number(/^KernelPageSize: +(\d+)/m.exec(readFileSync("/proc/self/smaps", "utf8"))?.[1]);

/** Waits, and ends as told by SIGTERM. */
const RUNS = { ready: true, exit: 0, signal: null, stdout: "", stderr: NOT_FIRST + TERMINATED };
/** The same of a PID 1. */
const RUNS_FIRST = { ...RUNS, stderr: TERMINATED };
const ARM64 = process.arch === "arm64";
/** The signal of the instruction behind a call of libc's that should not have returned: hlt, or brk on arm64. */
const TRAP = ARM64 ? constants.signals.SIGTRAP : SIGSEGV;
/** Aborts and says nothing, as PID 1: SIGABRT does not reach it, so abort(3) goes on to that instruction. */
const ABORTS_FIRST = { ready: false, exit: null, signal: TRAP, stderr: "" };
/** Ends with the status of a refusal and one line of at most 200 bytes. */
const refuses = (line: string) => ({
  ready: false,
  exit: 71,
  signal: null,
  stdout: "",
  stderr: expect.stringMatching(new RegExp(`^(?=.{1,199}\\n$)Error: ${line}.*\\n$`)),
});
/** The loader ends it with a line of its own. */
const LOADER_FAILS = {
  ready: false,
  exit: 127,
  stderr: expect.stringMatching(/^.*: error while loading shared libraries: .*\n$/),
};
/** A launch of which the reference runs and ours does not, or otherwise. */
const launched = (it: Case, ours: unknown): Shown => ({
  see: (program) => observe(program, it),
  c: it.pidOne ? RUNS_FIRST : RUNS,
  ours,
  missing: it.missing ?? (it.pidOne ? NEEDS_PID_ONE : undefined),
});

/**
 * Finds the edge of a limit: the first in a row of limits, each twice the one before, with which a program runs. The
 * reference runs with `c`, which is the first tried, and ours runs with `ours` and not with half of it.
 */
const edge = (resource: number, c: number, ours: number): Shown => ({
  async see(program) {
    let limit = c;
    while (!(await observe(program, { limits: [[resource, limit]] })).ready) limit *= 2;
    return limit;
  },
  c,
  ours,
});

/** Shows whether more memory stays than the heap of a C program: ours has 0.1 MiB, or 0.45 with pages of 64 KiB. */
const keeps = (launch: Omit<Case, "pidOne">): Shown => ({
  see: (program) =>
    whileRunning(startReady({ program, ...launch }), async ({ pid }) => {
      const anonymous = Number.parseInt(status(pid)?.["RssAnon"] ?? "", 10);
      return anonymous > 700 ? "keeps memory" : "keeps little";
    }),
  c: "keeps little",
  ours: "keeps memory",
});

/** A child of the program's that is closed off from the tests' pipes, which it would keep open. */
const child = (command: string) => ({ before: `${command} </dev/null >/dev/null 2>&1 & :` });

/** Kernel ticks (of 10 ms) from field `first`, counted from 1, of /proc/PID/stat on, two of them added up: proc(5). */
function ticks(pid: number, first: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[first - 3]) + Number(fields[first - 2]);
}
const [UTIME, CUTIME] = [14, 16];

/** Returns "waits" if it does beside an empty /dev/urandom, "spins" if it has used a second of processor time instead. */
const waitsOrSpins = (program: string): Promise<string> =>
  whileRunning(start({ program, covered: [["/dev/urandom", "/dev/null"]] }, { pidOne: true }), ({ pid }) =>
    until("it to wait or to spin", () => (isReady(pid) ? "waits" : ticks(pid, UTIME) > 100 && "spins"), 240),
  );

/** The reason why no core file can be looked for, if there is one. */
function noCores(): string | undefined {
  const pattern = readFileSync("/proc/sys/kernel/core_pattern", "utf8").trim();
  if (!/^[\w.%-]+$/.test(pattern)) return "core files do not go to the working directory here";
  const { stdout } = Bun.spawnSync(["sh", "-c", "ulimit -H -c"]);
  return /^(unlimited|\d{5,})\n$/.test(stdout.toString()) ? undefined : "the hard limit allows no core files";
}

/** Returns the signal that ended it, and how many files it left in the working directory. */
async function core(program: string): Promise<string> {
  const directory = temporary("core");
  const subject = await startReady({ program, limits: [[RLIMIT_CORE, 64 * MIB]] }, { before: `cd "${directory}"` });
  process.kill(subject.pid, SIGSEGV);
  const { signal } = await subject.ended();
  return `signal ${signal}, ${readdirSync(directory).length} files`;
}

/** True if another process of the same user, which is not root, may see which file the program runs. */
async function executableSeen(program: string): Promise<boolean> {
  const user = IS_ROOT ? { user: IMAGE_USER } : {};
  return whileRunning(startReady({ program, ...user }), async ({ pid }) => {
    const reader = await start({ program: "/usr/bin/readlink", args: [`/proc/${pid}/exe`], ...user });
    return (await reader.ended()).exit === 0;
  });
}

/** Returns the fate of a child that dies while the program is stopped, or has SIGCHLD blocked. */
async function deadChild(starting: Promise<Subject>, hold: (subject: Subject) => Promise<unknown>): Promise<string> {
  return whileRunning(starting, async (subject) => {
    const { pid } = await until("the child", () => childrenOf(subject.pid)[0]);
    await hold(subject);
    process.kill(pid, "SIGKILL");
    return until("the child's end", () => {
      const [left] = childrenOf(subject.pid);
      return left === undefined ? "gone" : left.state === "Z" && "zombie";
    });
  });
}

/** A filter that refuses the calls of those names. */
const refused = (...names: readonly string[]): Case => ({
  refused: names.map((name) => [numberOf(name)] as const),
  missing: NEEDS_LIBSECCOMP,
});

/** The reason to skip what needs processor models. */
const QEMU = Bun.which("qemu-x86_64-static");
const NEEDS_QEMU =
  process.arch !== "x64" ? "for x86-64" : QEMU ? undefined : "qemu-x86_64-static (qemu-user-static) is not installed";

/** Shows whether the program comes as far as to print its version on a processor without `model`'s features. */
const onProcessor = (model: string): Shown => ({
  async see(program) {
    const { signalCode, stdout } = Bun.spawnSync([QEMU ?? "", "-cpu", model, program, "-v"], { env: {} });
    return { signal: signalCode ?? null, printed: stdout.length > 0 };
  },
  c: { signal: null, printed: true },
  ours: { signal: "SIGILL", printed: false },
  missing: NEEDS_QEMU,
});

/** The way in which each row is shown, or several by name. */
const SHOWN: Readonly<Record<Title, Shown | Readonly<Record<string, Shown>>>> = {
  "address space under 267 MiB, data under 196 MiB": {
    "address space": edge(RLIMIT_AS, MIB, 512 * MIB),
    data: edge(RLIMIT_DATA, MIB, 256 * MIB),
  },
  "fewer than 6 open files": {
    0: launched({ limits: [[RLIMIT_NOFILE, 0]] }, LOADER_FAILS),
    3: launched({ limits: [[RLIMIT_NOFILE, 3]] }, LOADER_FAILS),
    4: launched({ limits: [[RLIMIT_NOFILE, 4]] }, { ready: false }),
  },
  "a stack under 64 KiB": {
    ...edge(RLIMIT_STACK, 32 * 1024, 64 * 1024),
    missing: PAGE > 4 ? "with larger pages 64 KiB are enough at some starts, and not at others" : undefined,
  },
  // The smallest limit is looked for in test/engines/cgroup2; here is what it is spent on.
  "memory limit": {
    async see(program) {
      // The most that the program has ever held, in KiB.
      return whileRunning(startReady({ program }), async ({ pid }) => {
        const peak = Number.parseInt(status(pid)?.["VmHWM"] ?? "", 10);
        return peak > 2560 ? "over 2.5 MiB" : "under";
      });
    },
    c: "under",
    ours: "over 2.5 MiB",
  },
  // The same memory counts against it and against RLIMIT_DATA: private, and writable.
  "a commit limit (`vm.overcommit_memory=2`)": edge(RLIMIT_DATA, MIB / 2, 256 * MIB),
  processor: {
    qemu64: onProcessor("qemu64"),
    kvm64: onProcessor("kvm64"),
    "without POPCNT": onProcessor("Nehalem,-popcnt"),
    Nehalem: { ...onProcessor("Nehalem"), ours: { signal: null, printed: true } },
  },
  "no memory may become code (`MemoryDenyWriteExecute=`)": {
    waiting: launched({ noNewCode: true, missing: NEEDS_MDWE }, refuses("cannot call libc: no memory may become code")),
    "-v": {
      see: (program) => observe(program, { noNewCode: true, args: ["-v"] }),
      c: expect.objectContaining({ ready: false, exit: 0, stderr: "" }),
      ours: { ready: false, exit: 0, stderr: "" },
      missing: NEEDS_MDWE,
    },
  },
  "no `/proc`, or a `/proc/self/maps` that cannot be read": {
    "/proc": launched({ covered: [["/proc"]], pidOne: true }, ABORTS_FIRST),
    maps: launched({ covered: [["/proc/self/maps", "/dev/null"]], pidOne: true }, ABORTS_FIRST),
  },
  "no `/dev/urandom`": launched({ covered: [["/dev"]], pidOne: true }, ABORTS_FIRST),
  "`/dev/urandom` that reads 0 bytes": {
    see: waitsOrSpins,
    c: "waits",
    ours: "spins",
    missing: NEEDS_PID_ONE,
  },
  // The loader of 2.31 itself is asked in test/engines/glibc.test.ts.
  "glibc before 2.34": {
    see: async (program) => readFileSync(program).includes("\0GLIBC_2.34\0"),
    c: false,
    ours: true,
  },
  // A part of glibc that is empty since 2.34, so that it changes nothing.
  "a library of `LD_PRELOAD` or `LD_AUDIT`": keeps({ env: { LD_PRELOAD: "librt.so.1" } }),
  "glibc's tunables `malloc.hugetlb=2` and `malloc.mmap_threshold`": {
    hugetlb: keeps({ env: { GLIBC_TUNABLES: "glibc.malloc.hugetlb=2" } }),
    mmap_threshold: keeps({ env: { GLIBC_TUNABLES: "glibc.malloc.mmap_threshold=1" } }),
  },
  "the executable rewritten by `strip` or `objcopy`": {
    see(program) {
      const path = join(temporary("stripped"), "pause");
      Bun.spawnSync(["strip", "-o", path, program]);
      return observe(path, { args: ["-v"] });
    },
    c: expect.objectContaining({ ready: false, exit: 0 }),
    ours: { ready: false, exit: 127 },
    missing: notInstalled("strip"),
  },
  "a loader that shows symbols (`LD_DEBUG=bindings`, `symbols`, `all`)": Object.fromEntries(
    ["bindings", "symbols", "all"].map((shown) => [
      shown,
      launched({ env: { LD_DEBUG: shown } }, { ready: false, exit: 127, stderr: expect.stringContaining("libc.so.6") }),
    ]),
  ),
  "a filter that refuses what the loader calls: mmap, openat, fstat, read, pread64, close": {
    // The loader of glibc 2.36 does not survive it; that of 2.41 says so.
    mmap: launched(refused("mmap"), { ready: false }),
    // That of 2.36 calls newfstatat, that of 2.41 fstat.
    fstat: launched(refused("fstat", "newfstatat"), LOADER_FAILS),
    // That of arm64 does without it.
    pread64: launched(refused("pread64"), ARM64 ? RUNS : LOADER_FAILS),
    ...Object.fromEntries(["openat", "read", "close"].map((name) => [name, launched(refused(name), LOADER_FAILS)])),
  },
  "a filter that refuses munmap, futex, prlimit64, eventfd2": Object.fromEntries(
    ["munmap", "futex", "prlimit64", "eventfd2"].map((name) => [
      name,
      launched(refused(name), { ready: false, signal: SIGABRT }),
    ]),
  ),
  "a filter that refuses sigprocmask": launched(
    refused("rt_sigprocmask"),
    refuses("cannot hold signals back: a filter refuses sigprocmask"),
  ),
  "a filter that refuses exit_group": launched(refused("exit_group"), { ...RUNS, exit: null, signal: TRAP }),
  "a filter that refuses prctl": launched(refused("prctl"), {
    ...RUNS,
    stderr: `${NOT_FIRST}Warning: running unlocked: the kernel refused no_new_privs\n${TERMINATED}`,
  }),
  "a dead child": {
    "of a stopped pause": {
      see: (program) =>
        deadChild(startReady({ program }, child("sleep 1000")), async (subject) => {
          process.kill(subject.pid, "SIGSTOP");
          await until("it to stop", () => status(subject.pid)?.["State"]?.startsWith("T"));
        }),
      c: "zombie",
      ours: "gone",
    },
    "that took processor time": {
      see: (program) =>
        whileRunning(startReady({ program }, child("sh -c 'while :; do :; done'")), async (subject) => {
          const { pid } = await until("the child", () => childrenOf(subject.pid)[0]);
          await until("the child to take time", () => ticks(pid, UTIME) >= 20, 240);
          process.kill(pid, "SIGKILL");
          await until("the child to be reaped", () => childrenOf(subject.pid).length === 0);
          return ticks(subject.pid, CUTIME) >= 20 ? "counted" : "not counted";
        }),
      c: "counted",
      ours: "not counted",
    },
  },
  "SIGCHLD inherited as blocked": {
    see: (program) =>
      deadChild(start({ program, blocked: [SIGCHLD] }, child("sleep 1000")), ({ pid }) => {
        const chld = 1n << BigInt(SIGCHLD - 1);
        return until("it to wait", () => sleepsWithHandlers(status(pid)) && mask(status(pid), "SigBlk") === chld);
      }),
    c: "zombie",
    ours: "gone",
  },
  "core file when a signal kills it (not PID 1)": {
    see: core,
    c: `signal ${SIGSEGV}, 1 files`,
    ours: `signal ${SIGSEGV}, 0 files`,
    missing: noCores(),
  },
  "`/proc/1/status`": {
    see: (program) =>
      whileRunning(startReady({ program }), async ({ pid }) => {
        const fields = ["NoNewPrivs", "Seccomp", "Seccomp_filters"];
        const [its, mine] = [status(pid), status(process.pid)];
        const inherited = fields.every((field) => its?.[field] === mine?.[field]);
        const ignored = (mask(its, "SigIgn") >> BigInt(SIGCHLD - 1)) & 1n;
        const privileges = inherited ? "as inherited" : `no new: ${its?.["NoNewPrivs"]}`;
        return `${mask(its, "SigCgt").toString(16)}, CHLD ignored: ${ignored}, ${privileges}`;
      }),
    c: "14002, CHLD ignored: 0, as inherited",
    ours: "4002, CHLD ignored: 1, no new: 1",
  },
  "`/proc/1/exe`, `ns` and the like": { see: executableSeen, c: true, ours: false },
  "`--help`, `-h`, `--version`": Object.fromEntries(
    ["--help", "-h", "--version"].map((word) => [
      word,
      launched({ args: [word] }, { ready: false, exit: 0, stdout: expect.stringContaining("pause"), stderr: "" }),
    ]),
  ),
};

const isOne = (shown: Shown | Readonly<Record<string, Shown>>): shown is Shown => typeof shown["see"] === "function";

/** Linked as upstream's pause is: what the loader takes, it does not need. */
const reference = compileStatic();
const NO_STATIC = compileReference() && !reference ? "the C compiler has no static libc" : undefined;

for (const title of Object.keys(DIFFERENCES) as Title[]) {
  const shown = SHOWN[title];
  const { until: fixed }: Difference = DIFFERENCES[title];
  const cases: [string, Shown][] = isOne(shown)
    ? [[title, shown]]
    : Object.entries(shown).map(([name, it]) => [`${title}: ${name}`, it]);
  for (const [name, { see, c, ours, missing = NO_STATIC }] of cases) {
    testUnless(missing, name, async () => {
      if (reference) expect(await see(reference)).toEqual(c);
      const seen = await see(OURS);
      const expected = fixed && Bun.semver.order(Bun.version, fixed) >= 0 ? c : ours;
      if (typeof expected === "object") expect(seen).toMatchObject(expected as object);
      else expect(seen).toBe(expected);
    });
  }
}
