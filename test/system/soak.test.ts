/** The soak finds no fault in pause, and the fault in another program. As root it shakes the machine. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileReference } from "../../scripts/reference/compile.ts";
import { DISTURBANCES } from "../../scripts/soak/disturbances.ts";
import { soak } from "../../scripts/soak/run.ts";
import { ALLOWED } from "../../scripts/soak/trace.ts";
import { runScript } from "../support/project.ts";
import { NEEDS_CC, NEEDS_PID_ONE, NEEDS_TRACING, testUnless } from "../support/skip.ts";
import { temporary } from "../support/temporary.ts";

testUnless(NEEDS_PID_ONE, "some seconds of everything leave nothing behind", async () => {
  const args = ["--minutes", "0.15", "--seed", "1", "--orphans", "3000"];
  const { status, stdout, stderr } = await runScript("soak.ts", args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toStartWith("seed 1\n");
  for (const { name } of DISTURBANCES) expect(stdout).toMatch(new RegExp(`^${name} +(\\d+ times|never: .+)$`, "m"));
  expect(Number(stdout.match(/(\d+) orphans/)?.[1])).toBeGreaterThanOrEqual(3000);
  expect(stdout).toMatch(/none lost, one thread, RssAnon \d+ kB before and \d+ kB after, exit 0\n$/);
});

const traced = "traced through all of it and a rest it makes no call but those its lock leaves";
testUnless(NEEDS_TRACING, traced, async () => {
  const args = ["--minutes", "0.15", "--rest", "0.05", "--orphans", "3000", "--trace"];
  const { status, stdout, stderr } = await runScript("soak.ts", args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const calls = stdout.match(/^traced from its lock to its end, nothing refused: (.+)$/m)?.[1] ?? "";
  const names = calls.split(", ").map((call) => call.replace(/ \d+$/, ""));
  // No handler returns any more: rt_sigreturn is for those of a preloaded library.
  expect(names.toSorted()).toEqual([...ALLOWED].filter((name) => name !== "rt_sigreturn").sort());
});

const reference = compileReference();
testUnless(
  NEEDS_PID_ONE ?? NEEDS_CC,
  "a program that ends with other words does not pass, and one that ends at once is told apart",
  async () => {
    const wanted = { seed: 1, seconds: 1, orphans: 1, rest: 0, trace: false };
    const program = join(temporary("another"), "pause");
    const bytes = readFileSync(reference ?? "", "latin1").replace("Shutting", "Shunting");
    writeFileSync(program, bytes, { encoding: "latin1", mode: 0o755 });
    await expect(soak({ ...wanted, program })).rejects.toThrow(/^seed 1, step \d+, the end: .*Shunting/);
    await expect(soak({ ...wanted, program: "/bin/true" })).rejects.toThrow("/bin/true ended with 0");
  },
);
