/** JavaScript's memory is given back at every start, each part of it. */
import { dlopen } from "bun:ffi";
import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { Elf } from "../../scripts/executable/elf.ts";
import { status } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { PR_SET_DUMPABLE, PRCTL } from "../support/calls.ts";
import type { Launch } from "../support/launch.ts";
import { MEMORY_DENIED, NEEDS_PTRACE, testUnless } from "../support/skip.ts";
import { NAMESPACE, OURS, startReady, whileRunning } from "../support/subject.ts";

/**
 * The mappings of process `pid`: address of the first byte, size in KiB, permissions (`rwx`, with `-` for what is not
 * allowed), the file's path or `[stack]` and the like, and KiB that are of no file. Throws if they may not be seen.
 */
function mappings(pid: number) {
  const entries = readFileSync(`/proc/${pid}/smaps`, "utf8").matchAll(
    /^(\w+)-\w+ (...). \w+ \S+ \d+ *(.*)\nSize: +(\d+) kB\n(?:.*\n)*?Anonymous: +(\d+) kB$/gm,
  );
  return [...entries].map(([, start = "", permissions = "", name = "", size, anonymous]) => ({
    start: Number.parseInt(start, 16),
    size: Number(size),
    permissions,
    name,
    anonymous: Number(anonymous),
  }));
}

type Mapping = ReturnType<typeof mappings>[number];

/** True if it is neither of a file nor the kernel's own. */
const isUnnamed = ({ name }: Mapping) => name === "";

/** The bytes of a mapping of process `pid`. Throws if it may not be read. */
function contents(pid: number, { start, size }: Mapping): Buffer {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    const bytes = Buffer.alloc(size * 1024);
    if (readSync(memory, bytes, 0, bytes.length, start) !== bytes.length) throw new Error("memory is not readable");
    return bytes;
  } finally {
    closeSync(memory);
  }
}

/** KiB of a page: getpagesize(2). */
const PAGE = dlopen("libc.so.6", { getpagesize: { args: [], returns: "i32" } }).symbols.getpagesize() / 1024;

/**
 * The most that may be its own (RssAnon), and mapped (VmSize, which RSS cannot exceed), in KiB. At rest they are 104 to
 * 124 and some 2,550 with pages of 4 KiB, 192 to 224 and 448 of the first with 16 and 64 KiB. With JavaScript's memory or
 * the executable they are 1,700 and 6,000,000; with the other libraries VmSize is 900 more.
 */
const [ANONYMOUS, MAPPED] = [96 + 10 * PAGE, 3072 + 16 * PAGE];

test("100 starts, half of them as PID 1 if possible: each time one thread and little memory", async () => {
  const anonymous: number[] = [];
  for (let round = 0; round < 100; round++) {
    const subject = await startReady({ program: OURS }, { pidOne: NAMESPACE !== undefined && round % 2 === 0 });
    const now = status(subject.pid);
    subject.send(SIGTERM);
    expect(await subject.ended()).toMatchObject({ exit: 0 });
    expect(now?.["Threads"]).toBe("1");
    expect(Number.parseInt(now?.["VmSize"] ?? "", 10)).toBeLessThanOrEqual(MAPPED);
    anonymous.push(Number.parseInt(now?.["RssAnon"] ?? "", 10));
  }
  // Linux 6.2 to 6.15 count by processor, and are off by up to 32 pages for each that a start has been moved to.
  expect(anonymous.filter((kib) => kib <= ANONYMOUS).length).toBeGreaterThan(90);
});

/** Sum of sizes, in KiB. */
const total = (sizes: readonly number[]) => sizes.reduce((sum, size) => sum + size, 0);

/** The whole pages of the executable's thread-local storage, which ends at the thread pointer on x86-64. */
function threadStorage(pid: number): Buffer {
  for (const mapping of mappings(pid).filter(({ size }) => size < 1024)) {
    if (!isUnnamed(mapping) || mapping.permissions !== "rw-") continue;
    const bytes = contents(pid, mapping);
    for (let at = 0; at + 24 <= bytes.length; at += 16) {
      // At the thread pointer lies its own value, twice: `tcb` and `self` of glibc's tcbhead_t.
      const own = BigInt(mapping.start + at);
      if (bytes.readBigUInt64LE(at) !== own || bytes.readBigUInt64LE(at + 16) !== own) continue;
      const first = Math.ceil((at - new Elf(readFileSync(OURS)).threadStorage) / 4096) * 4096;
      return bytes.subarray(Math.max(first, 0), at - (at % 4096));
    }
  }
  throw new Error("no thread pointer is found");
}

const WAYS: Readonly<Record<string, [Partial<Launch>, missing: string | undefined]>> = {
  // Only root may look into a process that is not dumpable.
  "locked as ever": [{}, NEEDS_PTRACE],
  "dumpable, for the kernel refuses to change that": [{ refused: [[PRCTL, PR_SET_DUMPABLE]] }, undefined],
};

describe.each(Object.entries(WAYS))("%s", (_, [launch, missing]) => {
  const part = (title: string, body: (all: readonly Mapping[], pid: number) => void, without?: string) =>
    testUnless(missing ?? without, title, () =>
      whileRunning(startReady({ program: OURS, ...launch }), async ({ pid }) => body(mappings(pid), pid)),
    );
  part("libc and its heap stay, and nothing of the executable", (all) => {
    expect(all.filter(({ name }) => /\/libc[.-]/.test(name))).not.toEqual([]);
    expect(all.filter(({ name }) => name === "[heap]")).not.toEqual([]);
    expect(all.filter(({ name }) => name === OURS)).toEqual([]);
  });
  part("of other libraries no more stays than lies beside the thread's storage", (all) => {
    const others = all.filter(({ name }) => name.startsWith("/") && !/\/(libc[.-]|ld-)[^/]*$/.test(name));
    expect(total(others.map(({ size }) => size))).toBeLessThanOrEqual(32 + PAGE);
  });
  part("no code is left but libc's, the loader's and the kernel's, and none that can be written", (all) => {
    const code = all.filter(({ permissions }) => permissions.endsWith("x"));
    expect(code).not.toEqual([]);
    expect(code.filter(({ name }) => !/^(\[v\w+\]|.*\/(libc[.-]|ld-)[^/]*)$/.test(name))).toEqual([]);
    expect(code.filter(({ permissions }) => permissions === "rwx")).toEqual([]);
  });
  part("no JavaScript heap stays, not even as addresses", (all) => {
    const unnamed = all.filter(isUnnamed);
    expect(total(unnamed.map(({ size }) => size))).toBeLessThanOrEqual(512 + 8 * PAGE);
  });
  part("of the stack the first frames stay", (all) => {
    const stack = all.filter(({ name }) => name === "[stack]");
    expect(total(stack.map(({ anonymous }) => anonymous))).toBeLessThanOrEqual(16 + 2 * PAGE);
  });
  part(
    "of Bun's thread-local storage no page stays",
    (_all, pid) => expect(threadStorage(pid).findIndex((byte) => byte !== 0)).toBe(-1),
    process.arch === "arm64" ? "arm64 has no thread pointer in memory to find it by" : MEMORY_DENIED,
  );
  // Nothing checks for room as memory is handed out.
  const room = (all: readonly Mapping[], pid: number) => {
    const writable = all.filter((it) => isUnnamed(it) && it.permissions === "rw-");
    const [largest] = writable.sort((one, other) => other.size - one.size);
    if (!largest) throw new Error("no memory is mapped that can be written to");
    // The stack, of 64 KiB and more, and above it the memory that is handed out.
    expect(largest.size).toBeGreaterThan(64);
    const bytes = contents(pid, largest);
    const last = bytes.findLastIndex((byte) => byte !== 0);
    expect(last).toBeGreaterThan(bytes.length / 2);
    expect(bytes.length - last).toBeGreaterThan(1024);
  };
  part("at least 1 KiB is free behind the memory that is handed out", room, MEMORY_DENIED);
});
