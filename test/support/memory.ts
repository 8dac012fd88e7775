/** The memory of a process: proc_pid_smaps(5), proc_pid_mem(5). */
import { dlopen } from "bun:ffi";
import { expect } from "bun:test";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import type { Status } from "../../scripts/linux/proc.ts";

/** A stretch of memory of a process. */
export interface Mapping {
  /** Address of its first byte. */
  readonly start: number;
  /** KiB. */
  readonly size: number;
  /** `rwx`, with `-` for what is not allowed. */
  readonly permissions: string;
  /** Path of the file, `[stack]` and the like, or empty. */
  readonly name: string;
  /** KiB of it that are in memory and of no file. */
  readonly anonymous: number;
}

/** The mappings of process `pid`. Throws if they may not be seen. */
export function mappings(pid: number): Mapping[] {
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

/** True if it is neither of a file nor the kernel's own. */
export function isUnnamed({ name }: Mapping): boolean {
  return name === "";
}

/** The bytes of a mapping of process `pid`. Throws if it may not be read. */
export function contents(pid: number, { start, size }: Mapping): Buffer {
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
export const PAGE: number =
  dlopen("libc.so.6", { getpagesize: { args: [], returns: "i32" } }).symbols.getpagesize() / 1024;

/**
 * The most that may be its own (RssAnon), and mapped (VmSize, which RSS cannot exceed), in KiB. At rest they are 104 to
 * 124 and some 2,550 with pages of 4 KiB, 192 to 224 and 448 of the first with 16 and 64 KiB. With JavaScript's memory or
 * the executable they are 1,700 and 6,000,000; with the other libraries VmSize is 900 more.
 */
const [ANONYMOUS, MAPPED] = [96 + 10 * PAGE, 3072 + 16 * PAGE];

/** Expects that a pause of which `now` is the status has given back what it can. */
export function expectLight(now: Status | undefined): void {
  expect(Number.parseInt(now?.["RssAnon"] ?? "", 10)).toBeLessThanOrEqual(ANONYMOUS);
  expect(Number.parseInt(now?.["VmSize"] ?? "", 10)).toBeLessThanOrEqual(MAPPED);
}
