/** What a soak is made of: its plan, the reading of its traces, and the refusal of bad options. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DISTURBANCES, drawsOf, planned } from "../../scripts/soak/disturbances.ts";
import { callsAfterLock } from "../../scripts/soak/trace.ts";

describe("a trace", () => {
  const folder = mkdtempSync(join(tmpdir(), "pause-calls-"));
  const log = join(folder, "calls");
  afterAll(() => rmSync(folder, { recursive: true }));
  const LOCK = "7 prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len=17, filter=0x1}) = 0\n";
  const SLEEP = "7 rt_sigsuspend([], 8) = ? ERESTARTNOHAND (To be restarted if no handler)\n";

  test("counts what one process calls once it is locked", async () => {
    writeFileSync(log, `7 openat(3) = 4\n8 ${LOCK.slice(2)}${LOCK}${SLEEP}8 openat(3) = 4\n${SLEEP}`);
    expect(await callsAfterLock(log, 7)).toEqual(new Map([["rt_sigsuspend", 2]]));
  });
  test.each([
    ["a call that is not allowed", `${LOCK}7 openat(3) = -1 EPERM\n`, "it tried 7 openat"],
    ["a call with an argument that is not", `${LOCK}7 write(1, "x", 1) = -1 EPERM\n`, "it tried 7 write"],
    ["no lock at all", SLEEP, "it has not locked itself"],
  ])("with %s is refused", async (_, text, message) => {
    writeFileSync(log, text);
    await expect(callsAfterLock(log, 7)).rejects.toThrow(message);
  });
});

describe("a seed", () => {
  const steps = (seed: number) =>
    Array.from({ length: 200 }, (_, step) => {
      const [{ name }, draw] = planned(seed, step, DISTURBANCES);
      return `${name} ${draw(1000)} ${draw(1000)}`;
    });
  test("repeats the plan, and another one does not", () => {
    expect(steps(5)).toEqual(steps(5));
    expect(steps(5)).not.toEqual(steps(6));
  });
  test("leaves nothing out", () => {
    expect(new Set(steps(5).map((step) => step.replace(/ \d+ \d+$/, ""))).size).toBe(DISTURBANCES.length);
  });
  test("draws evenly", () => {
    const draw = drawsOf("x");
    const drawn = Array.from({ length: 4000 }, () => draw(4));
    for (const n of [0, 1, 2, 3]) {
      expect(Math.abs(drawn.filter((it) => it === n).length - 1000)).toBeLessThan(150);
    }
  });
});
