/** Pause in the strictest possible bundle of a runtime, and with little memory. */
import { expect, test } from "bun:test";
import PROFILE from "../../../docs/seccomp.json";
import { type Status, showsReady } from "../../../scripts/linux/proc.ts";
import type { Limits, OciRuntime } from "../oci.ts";
import { PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { atRest, compare, type Sides, UNPRIVILEGED } from "./pod.ts";

const MEBIBYTE = 1024 * 1024;

/** Pause in a strict bundle, and its end on SIGTERM. */
const RUNS = {
  ...UNPRIVILEGED,
  CapBnd: UNPRIVILEGED.CapEff,
  pid: "1",
  Threads: "1",
  ready: true,
  status: 0,
  stdout: "",
  stderr: "Shutting down, got signal: Terminated\n",
};

/** Attempts to start: a runtime's own preparations sometimes need more memory than there is. */
const TRIES = 3;

/** The limits that are tried, and how long to wait. */
interface Trial {
  /** The memory limits that a pod must run under, in MiB, the largest first. */
  readonly memory: readonly number[];
  /** The precision of the search for the smallest limit, in MiB; without it there is no search. */
  readonly step?: number;
  /** The longest start, in seconds: with little memory pause reads its own pages again and again. */
  readonly seconds: number;
}

/** Observes pause in a strict bundle, from a start with none of its files cached to its stop. */
async function observe(
  runtime: OciRuntime,
  limits: Limits,
  seconds: number,
): Promise<Readonly<Record<string, unknown>>> {
  await runtime.dropCaches();
  let container = await runtime.startPause("strict", limits);
  for (let tried = 1; container.pid <= 0 && tried < TRIES; tried++) {
    await container.ended;
    container = await runtime.startPause("strict", limits);
  }
  const rest = container.pid > 0 ? await atRest(runtime.host, container.pid, seconds).catch(() => ({})) : {};
  const ready = showsReady(rest as Status);
  const limit = limits.memory && (await runtime.memoryLimit(container));
  return { ...rest, ready, limit, ...(await runtime.stop(container, ready ? "TERM" : "KILL")) };
}

/** The smallest memory limit in MiB under which pause starts, waits and stops, by bisection. */
async function smallestMemory(runtime: OciRuntime, { memory, seconds }: Trial, step: number): Promise<number> {
  const runs = async (mebibytes: number) => {
    for (let tried = 0; tried < TRIES; tried++) {
      const { pid, ready, status } = await observe(runtime, { memory: mebibytes * MEBIBYTE }, seconds);
      if (ready && status === 0) return true;
      if (pid !== undefined) return false;
    }
    return false;
  };
  let [tooSmall, enough] = [0, Math.max(...memory)];
  while (enough - tooSmall > step) {
    const middle = Math.round((tooSmall + enough) / 2 / step) * step;
    if (await runs(middle)) enough = middle;
    else tooSmall = middle;
  }
  return enough;
}

/** Tests strict bundles: with docs/seccomp.json, which is made for ours alone, and with little memory. */
export function testStrict(name: string, sides: () => Sides<OciRuntime>, trial: Trial): void {
  test(
    "the strictest bundle",
    () => compare(sides(), RUNS, (runtime) => observe(runtime, {}, trial.seconds)),
    PATIENCE,
  );
  test(
    "the strictest bundle with docs/seccomp.json",
    async () => {
      expect(await observe(sides().ours, { seccomp: PROFILE }, trial.seconds)).toMatchObject({ ...RUNS, Seccomp: "2" });
    },
    PATIENCE,
  );
  for (const mebibytes of trial.memory) {
    const memory = mebibytes * MEBIBYTE;
    test(
      `the same with ${mebibytes} MiB of memory`,
      () => compare(sides(), { ...RUNS, limit: memory }, (runtime) => observe(runtime, { memory }, trial.seconds)),
      PATIENCE,
    );
  }
  const { step } = trial;
  if (step === undefined) return;
  test(
    "the smallest memory limit under which it starts and runs",
    async () => {
      const ours = await smallestMemory(sides().ours, trial, step);
      const reference = await smallestMemory(sides().reference, trial, step);
      await record(`${name}, smallest memory limit, KiB`, { ours: ours * 1024, reference: reference * 1024 });
      expect(Math.max(ours, reference)).toBeLessThanOrEqual(Math.min(...trial.memory));
    },
    3 * PATIENCE,
  );
}
