/** The scripts a newcomer runs: what they show, and one clear line when something is wrong. */
import { expect, test } from "bun:test";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { NO_SIGNALS, THREE_HANDLERS } from "../../scripts/linux/proc.ts";
import { runScript } from "../support/project.ts";
import { NEEDS_PID_ONE, testIf } from "../support/skip.ts";

/** What start shows of the masks of signals. */
const MASKS = `SigBlk ${NO_SIGNALS}, SigCgt ${THREE_HANDLERS}`;

testIf(NEEDS_PID_ONE, "start shows every step", async () => {
  const { status, stdout, stderr } = await runScript("start.ts");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const fact of [
    /NSpid \d+ 1 /,
    MASKS,
    /orphan is made +PID \d+/,
    /no child left, no zombie/,
    /exit 0, "Shutting down, got signal: Terminated"/,
  ]) {
    expect(stdout).toMatch(fact);
  }
});

test("start goes on with an ordinary process where no PID namespace can be made, and says what it takes", async () => {
  const { status, stdout, stderr } = await runScript("start.ts", [], { PATH: "/nonexistent" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const fact of [
    /ordinary process +Pid \d+, 1 thread/,
    `State S (sleeping), ${MASKS}`,
    /it weighs +RssAnon \d+ kB/,
    /exit 0, "Warning: pause should be the first process; Shutting down, got signal: Terminated"/,
  ]) {
    expect(stdout).toMatch(fact);
  }
  expect(stdout).toEndWith(`Not shown, PID 1 and how it reaps: ${NO_PID_NAMESPACE}.\n`);
});

test.each([
  ["build.ts", ["--target", "linux-mips"], /^error: unknown platform "linux-mips": .*linux-amd64, linux-arm64\n$/],
  ["build.ts", ["--taget", "linux-arm64"], /^error: unknown option --taget\n$/],
  ["build.ts", ["linux-arm64"], /^error: unexpected "linux-arm64"\n$/],
  ["soak.ts", ["--minutes", "many"], /^error: --minutes many: not a number\n$/],
  ["soak.ts", ["--seed", ""], /^error: --seed : not a number\n$/],
  ["soak.ts", ["--orphans", "-1"], /^error: --orphans -1: not a number\n$/],
  ["soak.ts", ["--rest", "long"], /^error: --rest long: not a number\n$/],
  ["soak.ts", ["--hours", "1", "--minutes", "1"], /^error: --minutes or --hours, not both\n$/],
  ["bench.ts", ["--check", "--record"], /^error: --check or --record, not both\n$/],
  ["bench.ts", ["--quik"], /^error: unknown option --quik\n$/],
  ["soak.ts", ["--minute", "5"], /^error: unknown option --minute\n$/],
  ["bench.ts", ["--rounds", "many"], /^error: --rounds many: .*\n$/],
  ["bench.ts", ["--rest", "0"], /^error: --rest 0: .*\n$/],
  ["bench.ts", ["--orphans", "1.5"], /^error: --orphans 1.5: .*\n$/],
])("%s %p is refused in one line", async (script, args, line) => {
  const { status, stdout, stderr } = await runScript(script, args);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(line);
});
