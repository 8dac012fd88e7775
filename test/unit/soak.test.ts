/** The parts of a soak: its plan and the reading of its traces. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DISTURBANCES, planned } from "../../scripts/soak/disturbances.ts";
import { callsAfterLock } from "../../scripts/soak/trace.ts";
import { temporary } from "../support/temporary.ts";

const log = join(temporary("calls"), "calls");
const LOCK = "7 prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len=17, filter=0x1}) = 0\n";
const SLEEP = "7 rt_sigsuspend([], 8) = ? ERESTARTNOHAND (To be restarted if no handler)\n";

test("a trace counts what one process calls once it is locked", async () => {
  writeFileSync(log, `7 openat(3) = 4\n8 ${LOCK.slice(2)}${LOCK}${SLEEP}8 openat(3) = 4\n${SLEEP}`);
  expect(await callsAfterLock(log, 7)).toEqual(new Map([["rt_sigsuspend", 2]]));
});

test.each([
  ["a call that is not allowed", `${LOCK}7 openat(3) = -1 EPERM\n`, "it tried 7 openat"],
  ["a call with an argument that is not", `${LOCK}7 write(1, "x", 1) = -1 EPERM\n`, "it tried 7 write"],
  ["no lock at all", SLEEP, "it has not locked itself"],
])("a trace with %s is refused", async (_, text, message) => {
  writeFileSync(log, text);
  await expect(callsAfterLock(log, 7)).rejects.toThrow(message);
});

test("a seed repeats the plan, another one does not, and nothing is left out", () => {
  const steps = (seed: number) =>
    Array.from({ length: 200 }, (_, step) => {
      const [{ name }, draw] = planned(seed, step, DISTURBANCES);
      return { name, draws: [draw(1000), draw(1000)] };
    });
  expect(steps(5)).toEqual(steps(5));
  expect(steps(5)).not.toEqual(steps(6));
  expect(new Set(steps(5).map(({ name }) => name)).size).toBe(DISTURBANCES.length);
});
