/** What is mapped into a process, and what it holds: proc_pid_smaps(5), proc_pid_mem(5). */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

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

/** All that is mapped into process `pid`. Throws if that may not be seen. */
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

/** Whether it is neither of a file nor the kernel's own. */
export function isUnnamed({ name }: Mapping): boolean {
  return name === "";
}

/** What a mapping of process `pid` holds. Throws if it may not be read. */
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

/** Why what reads the memory of a child is skipped here, or undefined if it is not: a kernel may deny even that. */
export const MEMORY_DENIED: string | undefined = (() => {
  const child = Bun.spawn(["sleep", "60"]);
  try {
    closeSync(openSync(`/proc/${child.pid}/mem`, "r"));
    return undefined;
  } catch {
    return "the kernel lets no process read another's memory";
  } finally {
    child.kill("SIGKILL");
  }
})();
