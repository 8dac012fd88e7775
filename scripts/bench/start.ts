/** Measurements of a start: each of one program, once. */
import { closeSync, openSync, readSync } from "node:fs";
import { command, type Ended, wait } from "../linux/spawn.ts";
import type { Program, Readiness } from "./programs.ts";

/** Wall time of `program -v`, from before it is started until its end is known, in milliseconds. The measurement throws if it fails. */
export function versionTime({ path }: Program): () => number {
  const version = command([path, "-v"]);
  return () => {
    const start = performance.now();
    const { status } = wait(version.spawn());
    const time = performance.now() - start;
    if (status !== 0) throw new Error(`${path} -v ended with wait status ${status}`);
    return time;
  };
}

/** Holds one `/proc/PID/status`, which is some 1,500 bytes. */
const page = Buffer.alloc(4096);

/** Waits, looking all the time, until the process shows `ready`. Throws after 10 s. */
export function waitReady(pid: number, ready: readonly string[]): void {
  const deadline = performance.now() + 10_000;
  const status = openSync(`/proc/${pid}/status`, "r");
  try {
    // One read a look, and no more than a search in it: parsing would cost more than a C pause takes to start.
    for (;;) {
      const now = page.subarray(0, readSync(status, page, 0, page.length, 0));
      if (ready.every((line) => now.includes(line))) return;
      if (performance.now() > deadline) throw new Error(`process ${pid} is not ready after 10 s`);
    }
  } finally {
    closeSync(status);
  }
}

/** What it took until a program was ready; processor time and page faults include its end, by SIGKILL or by itself. */
export interface Start extends Omit<Ended, "status"> {
  /** Wall time from before it is started, in milliseconds. */
  readonly time: number;
}

/** Starts `program`, waits until it is ready and ends it. The measurement throws if it is not ready after 10 s. */
export function readyTime({ path, args }: Program, ready: Readiness): () => Start {
  const pause = command([path, ...args]);
  return () => {
    const start = performance.now();
    const pid = pause.spawn();
    if (ready === "ended") {
      const { cpu, faults } = wait(pid);
      return { time: performance.now() - start, cpu, faults };
    }
    try {
      waitReady(pid, ready);
    } catch (error) {
      process.kill(pid, "SIGKILL");
      throw error;
    }
    const time = performance.now() - start;
    process.kill(pid, "SIGKILL");
    const { cpu, faults } = wait(pid);
    return { time, cpu, faults };
  };
}
