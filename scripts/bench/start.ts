/** Measurements of a start: each of one program, once. */
import { closeSync, openSync, readSync } from "node:fs";
import { command, type Ended, wait } from "../linux/spawn.ts";
import type { Program, Readiness } from "./programs.ts";

/**
 * Wall time of `program -v`, from before it is started until its end is known, in milliseconds. The measurement throws
 * if it fails.
 */
export function versionTime({ path }: Program): () => number {
  const version = command([path, "-v"]);
  return () => {
    const start = performance.now();
    const { status } = wait(version());
    const time = performance.now() - start;
    if (status !== 0) throw new Error(`${path} -v ended with wait status ${status}`);
    return time;
  };
}

/** Holds one `/proc/PID/status`, which is some 1,500 bytes. */
const page = Buffer.alloc(4096);

/** Waits, looking all the time, until the process shows `ready`. Throws after 10 s, and at a program that ends by itself. */
export function waitReady(pid: number, ready: Readiness): void {
  if (ready === "ended") throw new Error("a program that ends by itself is never at rest");
  const deadline = performance.now() + 10_000;
  const status = openSync(`/proc/${pid}/status`, "r");
  try {
    // One read a look, and no more than a search in it: parsing would take longer than the start of a C pause.
    for (;;) {
      const now = page.subarray(0, readSync(status, page, 0, page.length, 0));
      if (ready.every((line) => now.includes(line))) return;
      if (performance.now() > deadline) throw new Error(`process ${pid} is not ready after 10 s`);
    }
  } finally {
    closeSync(status);
  }
}

/**
 * Starts `program`, waits until it is ready and ends it: the wall time from before it is started until then, in milliseconds.
 * Processor time and page faults include its end, by SIGKILL or by itself. The measurement throws if it is not ready after 10 s.
 */
export function readyTime({ path, args, ready }: Program): () => Ended & { readonly time: number } {
  const program = command([path, ...args]);
  return () => {
    const start = performance.now();
    const pid = program();
    if (ready === "ended") {
      const ended = wait(pid);
      return { time: performance.now() - start, ...ended };
    }
    try {
      waitReady(pid, ready);
      const time = performance.now() - start;
      process.kill(pid, "SIGKILL");
      return { time, ...wait(pid) };
    } catch (error) {
      process.kill(pid, "SIGKILL");
      throw error;
    }
  };
}
