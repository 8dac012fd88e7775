/** The system calls of a process once it has locked itself, by strace(1). */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { InputError } from "../command/report.ts";
import { WITH_US } from "../linux/namespace.ts";

/** The calls that src/lock.ts leaves, as strace calls them. */
export const ALLOWED: ReadonlySet<string> = new Set([
  "rt_sigsuspend",
  "rt_sigreturn",
  "rt_sigprocmask",
  "munmap",
  "madvise",
  "exit_group",
  "write",
]);

/**
 * The command to which a program is appended so that every call of its own and of its children is written to `log`.
 * Throws an InputError without strace.
 */
export function tracing(log: string): string[] {
  const strace = Bun.which("strace");
  if (!strace) throw new InputError("strace is not installed");
  return [...WITH_US, strace, "-f", "-qq", "-o", log];
}

/**
 * Counts the calls of process `pid` in `log` by name, from the moment it is under its seccomp filter until its end.
 *
 * Throws if the filter was never installed, a call is not among those allowed, or the kernel refused one.
 */
export async function callsAfterLock(log: string, pid: number): Promise<ReadonlyMap<string, number>> {
  const calls = new Map<string, number>();
  let locked = false;
  for await (const line of createInterface(createReadStream(log))) {
    const [, caller, name = ""] = line.match(/^(\d+) +(\w+)\(/) ?? [];
    if (Number(caller) !== pid) continue;
    if (locked) calls.set(name, (calls.get(name) ?? 0) + 1);
    if (locked && (!ALLOWED.has(name) || line.includes("EPERM"))) throw new Error(`it tried ${line}`);
    locked ||= line.includes("SECCOMP_MODE_FILTER");
  }
  if (!locked) throw new Error("it has not locked itself");
  return calls;
}
