/**
 * SIGTERM to a PID 1 that starts: it is lost no more often than with dynamic C, whose handler is there as early as any
 * can be.
 */
import { expect } from "bun:test";
import { cpus } from "node:os";
import { DELAYS, lostSigterms } from "../../scripts/bench/early.ts";
import { C_READY, OURS_READY } from "../../scripts/bench/programs.ts";
import { type Cgroup, makeCgroup } from "../../scripts/linux/cgroup.ts";
import { WITH_US } from "../../scripts/linux/namespace.ts";
import { compileReference } from "../../scripts/reference/compile.ts";
import { NEEDS_CC, NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { OURS } from "../support/subject.ts";

const probe = makeCgroup("cpu");
await probe?.remove();
const NO_CGROUP = probe ? undefined : "no cgroup can be made here that limits processor time";

const both = { args: [], version: true };
const programs = [
  { ...both, name: "ours", path: OURS, ready: OURS_READY },
  { ...both, name: "C", path: compileReference() ?? "", ready: C_READY },
];

/**
 * Expects that ours loses no more of `rounds` SIGTERMs at each delay than C and a quarter, and four standard
 * deviations, for chance.
 */
async function expectFewLost(rounds: number, cgroup = ""): Promise<void> {
  const lost = await lostSigterms(programs, rounds, cgroup);
  const [ours = 0, c = 0] = lost.map((counts) => counts.reduce((sum, count) => sum + count));
  const variance = (count: number) => count * (1 - count / (rounds * DELAYS.length));
  const chance = 1 + 4 * Math.sqrt(variance(ours) + 1.25 ** 2 * variance(c));
  console.log(`lost of ${rounds * DELAYS.length} early SIGTERMs: ${ours}, C ${c}; by delay ${lost.join(" and ")}`);
  expect(ours).toBeLessThanOrEqual(1.25 * c + chance);
}

/** Does `task` while each processor has something else to do. */
async function whileBusy(task: () => Promise<void>): Promise<void> {
  const loops = cpus().map(() => Bun.spawn([...WITH_US, "sh", "-c", "while :; do :; done"]));
  await task().finally(() => {
    for (const loop of loops) loop.kill("SIGKILL");
  });
}

/** Does `task` with the file by which a process enters a cgroup that `limit` has been called with. */
async function limited(limit: (it: Cgroup) => void, task: (procs: string) => Promise<void>): Promise<void> {
  const cgroup = makeCgroup("cpu");
  if (!cgroup) throw new Error(NO_CGROUP);
  limit(cgroup);
  await task(cgroup.procs);
  await cgroup.remove();
}

const missing = NEEDS_PID_ONE ?? NEEDS_CC;
testUnless(missing, "on an idle machine", () => expectFewLost(12));
testUnless(missing, "with all processors busy", () => whileBusy(() => expectFewLost(12)));
testUnless(missing ?? NO_CGROUP, "with the smallest share of busy processors", () =>
  limited(
    (it) => it.leastShare(),
    (procs) => whileBusy(() => expectFewLost(3, procs)),
  ),
);
testUnless(missing ?? NO_CGROUP, "at 1 % of a processor", () =>
  limited(
    (it) => it.quota(1),
    (procs) => expectFewLost(6, procs),
  ),
);
