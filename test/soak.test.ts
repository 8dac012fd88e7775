/** The soak finds nothing wrong with pause, finds what is wrong with another program, and a seed repeats it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_PID_NAMESPACE } from "../scripts/namespace.ts";
import { DISTURBANCES, drawsOf, planned } from "../scripts/soak-plan.ts";
import { soak } from "../scripts/soak-run.ts";
import { NAMESPACE } from "./subject.ts";

const SCRIPT = join(import.meta.dir, "..", "scripts", "soak.ts");
const skipped = NAMESPACE ? "" : ` (skipped: ${NO_PID_NAMESPACE})`;

/** Runs the script in a pipe. */
function run(...args: readonly string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, SCRIPT, ...args]);
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test.skipIf(!NAMESPACE)(
  `some seconds of everything leave nothing behind${skipped}`,
  () => {
    const { exitCode, stdout, stderr } = run("--minutes", "0.15", "--seed", "1", "--orphans", "3000");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toStartWith("seed 1\n");
    for (const { name } of DISTURBANCES) expect(stdout).toMatch(new RegExp(`^${name} +(\\d+ times|never: .+)$`, "m"));
    expect(Number(stdout.match(/(\d+) orphans/)?.[1])).toBeGreaterThanOrEqual(3000);
    expect(stdout).toMatch(/none lost, one thread, RssAnon \d+ kB before and \d+ kB after, exit 0\n$/);
  },
  60_000,
);

describe("another program", () => {
  const folder = mkdtempSync(join(tmpdir(), "pause-not-"));
  const program = join(folder, "pause");
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(() => {
    // A shell that handles the three signals, sleeps and reaps, but has nothing to say in the end.
    writeFileSync(program, "#!/bin/sh\ntrap 'exit 0' TERM INT\ntrap : CHLD\nsleep 1000 & while :; do wait; done\n");
    chmodSync(program, 0o755);
  });
  test.skipIf(!NAMESPACE)(
    `does not pass${skipped}`,
    async () => {
      const failure = await soak({ program, seed: 1, seconds: 1, orphans: 1, rest: 0, trace: false }).catch(
        (error: Error) => error,
      );
      expect(failure).toHaveProperty("message", expect.stringContaining("seed 1, step"));
    },
    60_000,
  );
  test.skipIf(!NAMESPACE)(`that ends at once is told apart${skipped}`, async () => {
    const failure = await soak({ program: "/bin/true", seed: 1, seconds: 1, orphans: 1, rest: 0, trace: false }).catch(
      (error: Error) => error,
    );
    expect(failure).toHaveProperty("message", expect.stringContaining("/bin/true ended with 0"));
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

test.each([
  [["--minutes", "many"], "--minutes many: not a number"],
  [["--seed", ""], "--seed : not a number"],
  [["--orphans", "-1"], "--orphans -1: not a number"],
  [["--hours", "1", "--minutes", "1"], "--minutes or --hours, not both"],
])("%p is refused in one line", (args, line) => {
  expect(run(...args)).toEqual({ exitCode: 1, stdout: "", stderr: `error: ${line}\n` });
});
