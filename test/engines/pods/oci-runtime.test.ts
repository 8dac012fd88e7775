/** Pods on runc and crun alone, in the strictest possible bundle. */
import { beforeAll, expect, test } from "bun:test";
import { THREE_HANDLERS } from "../../../scripts/linux/proc.ts";
import { STABLE } from "../generations.ts";
import { type Limits, OciRuntime } from "../oci.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { atRest, bothSides, compare, testPods, UNPRIVILEGED } from "./pod.ts";
import { defaultProfiles, type Profiles } from "./seccomp.ts";

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

/** The memory limits that a pod must run under, in MiB. */
const MEMORY = [16, 8, 6];

/** The precision of the search for the smallest memory limit, in bytes. */
const STEP = 64 * KIBIBYTE;

/** How long pause may take to start with so little memory that it reads its own pages again and again, in seconds. */
const LONGEST_START = 5;

/** How pause must run in a strict bundle, and end on SIGTERM. */
const RUNS = {
  ...UNPRIVILEGED,
  CapBnd: UNPRIVILEGED.CapEff,
  Seccomp: "2",
  pid: "1",
  Threads: "1",
  SigCgt: THREE_HANDLERS,
  status: 0,
  stdout: "",
  stderr: "Shutting down, got signal: Terminated\n",
};

/** How often a start is tried: a runtime's own preparations sometimes need more memory than there is. */
const TRIES = 3;

/** What pause is observed to do in a strict bundle, from a start with none of its files cached to its stop. */
async function runStrict(runtime: OciRuntime, limits: Limits): Promise<Readonly<Record<string, unknown>>> {
  await runtime.chill();
  let container = await runtime.startPause("strict", limits);
  for (let tried = 1; container.pid <= 0 && tried < TRIES; tried++) {
    await container.ended;
    container = await runtime.startPause("strict", limits);
  }
  const gone = { SigCgt: GONE };
  const rest = container.pid > 0 ? await atRest(runtime.host, container.pid, LONGEST_START).catch(() => gone) : gone;
  const limit = limits.memory && (await runtime.memoryLimit(container));
  const { SigCgt } = rest;
  const { status, stdout, stderr } = await runtime.stop(container, SigCgt === RUNS.SigCgt ? "TERM" : "KILL");
  return { ...rest, limit, status, stdout, stderr };
}

/** Replaces a field of /proc/PID/status if there is no process. */
const GONE = "the process is gone";

/** The smallest memory limit in bytes under which pause starts, waits and stops, by bisection below `high`. */
async function smallestMemory(runtime: OciRuntime, seccomp: unknown, high: number): Promise<number> {
  const runs = async (memory: number) => {
    for (let tried = 0; tried < TRIES; tried++) {
      const { SigCgt, status } = await runStrict(runtime, { memory, seccomp });
      if (SigCgt === RUNS.SigCgt && status === 0) return true;
      if (SigCgt !== GONE) return false;
    }
    return false;
  };
  let [tooSmall, enough] = [0, high];
  while (enough - tooSmall > STEP) {
    const memory = Math.round((tooSmall + enough) / 2 / STEP) * STEP;
    if (await runs(memory)) enough = memory;
    else tooSmall = memory;
  }
  return enough;
}

for (const name of ["runc", "crun"] as const) {
  const tools = ["mkfs.ext4", "losetup", "blockdev", "findmnt"];
  const engines = ["containerd", "ctr", "dockerd", "docker", "runc"];
  describeGenerations(
    name,
    [name],
    (generation) => {
      const sides = bothSides(generation, OciRuntime.with(name));
      testPods(sides, UNPRIVILEGED);

      let profiles: Profiles;
      beforeAll(async () => {
        profiles = await defaultProfiles(generation);
      }, PATIENCE);

      for (const engine of ["containerd", "Docker"] as const) {
        test(
          `the strictest bundle with the default seccomp profile of ${engine}`,
          () => compare(sides(), RUNS, async (runtime) => runStrict(runtime, { seccomp: profiles[engine] })),
          PATIENCE,
        );
        for (const memory of MEMORY.map((mebibytes) => mebibytes * MEBIBYTE)) {
          test(
            `the same with ${memory / MEBIBYTE} MiB of memory`,
            () =>
              compare(sides(), { ...RUNS, limit: memory }, async (runtime) =>
                runStrict(runtime, { memory, seccomp: profiles[engine] }),
              ),
            PATIENCE,
          );
        }
      }

      test(
        "the smallest memory limit under which it starts and runs",
        async () => {
          const seccomp = profiles.containerd;
          const [high = 0, low = 0] = [Math.max(...MEMORY) * MEBIBYTE, Math.min(...MEMORY) * MEBIBYTE];
          const ours = await smallestMemory(sides().ours, seccomp, high);
          const reference = await smallestMemory(sides().reference, seccomp, high);
          await record(`${name} of ${generation.name}, smallest memory limit, KiB`, {
            ours: ours / KIBIBYTE,
            reference: reference / KIBIBYTE,
          });
          expect(Math.max(ours, reference)).toBeLessThanOrEqual(low);
        },
        2 * PATIENCE,
      );
    },
    { tools: [...engines, ...tools], of: STABLE },
  );
}
