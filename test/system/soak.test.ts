/** The soak finds nothing wrong with pause, and finds what is wrong with another program. As root it shakes the machine. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { moveClock, withClockMoved } from "../../scripts/soak/clock.ts";
import { DISTURBANCES } from "../../scripts/soak/disturbances.ts";
import { soak } from "../../scripts/soak/run.ts";
import { ALLOWED } from "../../scripts/soak/trace.ts";
import { NEEDS_PID_ONE, NEEDS_TRACING, testIf } from "../support/skip.ts";

const SCRIPT = join(ROOT, "scripts", "soak.ts");

/** Runs the script in a pipe. */
function run(...args: readonly string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, SCRIPT, ...args]);
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

testIf(NEEDS_PID_ONE, "some seconds of everything leave nothing behind", () => {
  const { exitCode, stdout, stderr } = run("--minutes", "0.15", "--seed", "1", "--orphans", "3000");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout).toStartWith("seed 1\n");
  for (const { name } of DISTURBANCES) expect(stdout).toMatch(new RegExp(`^${name} +(\\d+ times|never: .+)$`, "m"));
  expect(Number(stdout.match(/(\d+) orphans/)?.[1])).toBeGreaterThanOrEqual(3000);
  expect(stdout).toMatch(/none lost, one thread, RssAnon \d+ kB before and \d+ kB after, exit 0\n$/);
});

const traced = "traced through all of it and a rest it makes no call but those its lock leaves";
testIf(NEEDS_TRACING, traced, () => {
  const { exitCode, stdout, stderr } = run("--minutes", "0.15", "--rest", "0.05", "--orphans", "3000", "--trace");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const calls = stdout.match(/^traced from its lock to its end, nothing refused: (.+)$/m)?.[1] ?? "";
  const names = calls.split(", ").map((call) => call.replace(/ \d+$/, ""));
  expect(names.toSorted()).toEqual([...ALLOWED].sort());
});

describe("the clock", () => {
  /** By how many seconds the wall clock has left the one that nobody sets since the start of this process. */
  const off = () => Math.round((Date.now() - performance.timeOrigin - performance.now()) / 1000);
  const before = off();
  if (moveClock(0)) {
    test("is moved and moved back, also where something fails in between", async () => {
      // By so little that nothing else on the machine minds.
      expect((await withClockMoved(2, async () => off())) - before).toBe(2);
      expect(off()).toBe(before);
      await expect(withClockMoved(-2, () => Promise.reject(new Error("in between")))).rejects.toThrow("in between");
      expect(off()).toBe(before);
    });
  } else {
    test("cannot be set here, and is not", () => {
      expect(moveClock(2)).toBe(false);
      expect(off()).toBe(before);
    });
  }
});

describe("another program", () => {
  const folder = mkdtempSync(join(tmpdir(), "pause-not-"));
  const program = join(folder, "pause");
  /** What a short soak of `another` fails with. */
  const failureOf = (another: string) =>
    soak({ program: another, seed: 1, seconds: 1, orphans: 1, rest: 0, trace: false, clock: false }).catch(
      (error: Error) => error,
    );
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(() => {
    // A shell that handles the three signals, sleeps and reaps, but has nothing to say in the end.
    writeFileSync(program, "#!/bin/sh\ntrap 'exit 0' TERM INT\ntrap : CHLD\nsleep 1000 & while :; do wait; done\n");
    chmodSync(program, 0o755);
  });
  testIf(NEEDS_PID_ONE, "does not pass", async () => {
    const failure = await failureOf(program);
    expect(failure).toHaveProperty("message", expect.stringContaining("seed 1, step"));
  });
  testIf(NEEDS_PID_ONE, "that ends at once is told apart", async () => {
    const failure = await failureOf("/bin/true");
    expect(failure).toHaveProperty("message", expect.stringContaining("/bin/true ended with 0"));
  });
});
