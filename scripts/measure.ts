/** The measurements of the bench: each of one program, once. */
import { closeSync, openSync, readSync } from "node:fs";
import { command, wait } from "./spawn.ts";

/** Wall time of `program -v`, from before it is started until its end is known, in milliseconds. */
export function versionTime(program: string): () => number {
  const version = command(program, "-v");
  return () => {
    const start = performance.now();
    const status = wait(version.spawn());
    const time = performance.now() - start;
    if (status !== 0) throw new Error(`${program} -v ended with wait status ${status}`);
    return time;
  };
}

/** Holds one `/proc/PID/status`, which is some 1,500 bytes. */
const page = Buffer.alloc(4096);

/** As isReady of proc.ts, for a process that inherited no mask: all three signals caught, none blocked, asleep. */
function asleep(status: Buffer): boolean {
  return (
    status.includes("SigCgt:\t0000000000014002") &&
    status.includes("SigBlk:\t0000000000000000") &&
    status.includes("State:\tS")
  );
}

/** Wall time from before `program` is started until it sleeps with its handlers installed, in milliseconds. */
export function readyTime(program: string): () => number {
  const pause = command(program);
  return () => {
    const start = performance.now();
    const pid = pause.spawn();
    const status = openSync(`/proc/${pid}/status`, "r");
    // One read a look, and no more than a search in it: parsing would cost more than a C pause takes to start.
    while (!asleep(page.subarray(0, readSync(status, page, 0, page.length, 0)))) {
      if (performance.now() - start > 10_000) throw new Error(`${program} is not ready after 10 s`);
    }
    const time = performance.now() - start;
    closeSync(status);
    process.kill(pid, "SIGKILL");
    wait(pid);
    return time;
  };
}

/** The middle of `values`, the mean of the two middle ones when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2;
}

/**
 * Takes each measurement `rounds` times, in turns, so that whatever else the machine does falls on all alike.
 *
 * @param onRound called before each round with the number of rounds done
 * @returns the values, in the order of `measurements`
 */
export function interleaved(
  measurements: readonly (() => number)[],
  rounds: number,
  onRound: (done: number) => void = () => {},
): number[][] {
  const values: number[][] = measurements.map(() => []);
  for (let round = 0; round < rounds; round++) {
    onRound(round);
    for (const [index, measure] of measurements.entries()) values[index]?.push(measure());
  }
  return values;
}
