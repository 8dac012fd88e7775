/**
 * Every difference between pause-ts and a C pause, as tables in the README and in docs/surroundings.md. `npm run check`
 * fails if a document's table is not the one made here; `bun scripts/differences.ts --write` writes both.
 *
 * test/contract/differences.test.ts shows each row, by its title, and does not compile if a row has no test.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { markdownTable } from "markdown-table";
import pkg from "../package.json";
import { ROOT } from "./command/project.ts";
import { fail, InputError } from "./command/report.ts";

/** A case in which the two differ. */
export interface Difference {
  /** The fate of a C pause, linked statically as upstream's is. */
  readonly c: string;
  /** The fate of ours: it runs, or how it ends. */
  readonly ours: string;
  /** Set if an operator may meet it: the README has the row as well. */
  readonly met?: true;
  /** The first release of Bun with which there is no such difference. */
  readonly until?: string;
}

/** By title, in the order of the documents. Numbers are those of the pinned Bun on x86-64 with glibc 2.36. */
export const DIFFERENCES = {
  "address space under 267 MiB, data under 196 MiB": { c: "runs from 1 MiB on", ours: "aborts", met: true },
  "fewer than 6 open files": { c: "runs", ours: "the loader says so, status 127; with 4 or 5 Bun fails" },
  "a stack under 64 KiB": { c: "runs from 32 KiB on", ours: "SIGSEGV; with pages of 16 KiB, sometimes of 64 KiB too" },
  "memory limit": {
    c: "starts under 1 MiB",
    ours: "needs [some MiB](docs/footprint.md#small-memory-limits)",
    met: true,
  },
  "a commit limit (`vm.overcommit_memory=2`)": { c: "needs 0.5 MiB of it", ours: "needs 196 MiB while it starts" },
  processor: { c: "any x86-64", ours: "with SSE4.2 and POPCNT; not qemu64, kvm64", met: true },
  "no memory may become code (`MemoryDenyWriteExecute=`)": { c: "runs", ours: "one line, status 71", met: true },
  "no `/proc`, or a `/proc/self/maps` that cannot be read": { c: "runs", ours: "aborts" },
  "no `/dev/urandom`": { c: "runs", ours: "aborts", until: "1.4.3" },
  "`/dev/urandom` that reads 0 bytes": { c: "runs", ours: "spins and never waits", until: "1.4.3" },
  "glibc before 2.34": { c: "needs none", ours: "the loader says so, status 1" },
  "a library of `LD_PRELOAD` or `LD_AUDIT`": {
    c: "ignored",
    ours: "loaded; nothing is given back: RSS 17 MB, with a thread, of which a line tells, 37",
  },
  "glibc's tunables `malloc.hugetlb=2` and `malloc.mmap_threshold`": {
    c: "change nothing",
    ours: "1.5 MiB of Bun's memory stay",
  },
  "the executable rewritten by `strip` or `objcopy`": { c: "runs", ours: "the loader is lost, status 127" },
  "a loader that shows symbols (`LD_DEBUG=bindings`, `symbols`, `all`)": {
    c: "has no loader",
    ours: "the loader is refused what it calls, status 127",
  },
  "a filter that refuses what the loader calls: mmap, openat, fstat, read, pread64, close": {
    c: "runs",
    ours: "the loader says so, status 127; that of glibc 2.36 for mmap SIGSEGV",
  },
  "a filter that refuses munmap, futex, prlimit64, eventfd2": { c: "runs", ours: "aborts" },
  "a filter that refuses sigprocmask": { c: "runs", ours: "one line, status 71" },
  "a filter that refuses exit_group": { c: "runs, ends by exit", ours: "runs; SIGSEGV when it is told to end" },
  "a filter that refuses prctl": { c: "runs", ours: "runs without its lock, and says so" },
  "a dead child": {
    c: "a zombie until `waitpid`; counted in `cutime`",
    ours: "never a zombie, not counted",
    met: true,
  },
  "SIGCHLD inherited as blocked": { c: "leaves zombies", ours: "reaps", met: true },
  "core file when a signal kills it (not PID 1)": { c: "if the limit allows", ours: "never", met: true },
  "`/proc/1/status`": {
    c: "SigCgt 14002, SigIgn 0",
    ours: "SigCgt 4002, SigIgn 10000, NoNewPrivs 1, one more seccomp filter",
    met: true,
  },
  "`/proc/1/exe`, `ns` and the like": { c: "for the same user", ours: "need CAP_SYS_PTRACE", met: true },
  "`--help`, `-h`, `--version`": { c: "ignored", ours: "print and exit 0" },
} as const satisfies Readonly<Record<string, Difference>>;

/** A row's title. */
export type Title = keyof typeof DIFFERENCES;

/** The documents, which rows each has, and the folder that its links are relative to. */
const DOCUMENTS = [
  { name: "README.md", met: true, root: "" },
  { name: "docs/surroundings.md", met: false, root: "docs/" },
] as const;

/** The heading of the tables, by which they are found. */
const HEADING = ["what", "C", "pause-ts"];

/**
 * The table of the pinned Bun's rows, or only of those that an operator may meet. Links are from the project's folder;
 * those that begin with `root` lose it.
 */
function table(met: boolean, root: string): string {
  const all: [string, Difference][] = Object.entries(DIFFERENCES);
  const holds = ({ until }: Difference) => !until || Bun.semver.order(pkg.devDependencies.bun, until) < 0;
  const rows = all.filter(([, row]) => (row.met || !met) && holds(row)).map(([title, { c, ours }]) => [title, c, ours]);
  const text = markdownTable([HEADING, ...rows], { align: ["l", "l", "l"], alignDelimiters: false, padding: true });
  return text.replaceAll(`](${root}`, "](");
}

/** Writes DIFFERENCES into each document, or throws an InputError that names the first one whose table is another. */
function differences(write: boolean): void {
  const start = `| ${HEADING.join(" | ")} |\n`;
  for (const { name, met, root } of DOCUMENTS) {
    const text = readFileSync(join(ROOT, name), "utf8");
    const [before, after] = text.split(start);
    if (before === undefined || after === undefined) throw new InputError(`${name} has no table of the differences`);
    const rest = after.replace(/^(?:\|.*\n)*/, "");
    const expected = `${before}${table(met, root)}\n${rest}`;
    if (expected === text) continue;
    if (!write) throw new InputError(`${name} differs from DIFFERENCES: bun scripts/differences.ts --write`);
    writeFileSync(join(ROOT, name), expected);
  }
}

if (import.meta.main) {
  try {
    differences(process.argv.includes("--write"));
  } catch (error) {
    fail(error);
  }
}
