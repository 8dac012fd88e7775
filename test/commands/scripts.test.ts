/** The scripts a newcomer runs: what they show, and one clear line when something is wrong. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { NAMESPACE } from "../support/subject.ts";

/** Runs a script with Bun in a pipe, as `npm run` does. */
function run(script: string, args: readonly string[] = [], env: Record<string, string | undefined> = process.env) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, join(ROOT, "scripts", script), ...args], {
    env,
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test.skipIf(!NAMESPACE)(`start shows every step${NAMESPACE ? "" : ` (skipped: ${NO_PID_NAMESPACE})`}`, () => {
  const { exitCode, stdout, stderr } = run("start.ts");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  for (const fact of [
    /NSpid \d+ 1 /,
    /SigBlk 0{16}, SigCgt 0{11}14002/,
    /orphan is made +PID \d+/,
    /no child left, no zombie/,
    /exit 0, "Shutting down, got signal: Terminated"/,
  ]) {
    expect(stdout).toMatch(fact);
  }
});

test("start goes on with an ordinary process where no PID namespace can be made, and says what it takes", () => {
  const { exitCode, stdout, stderr } = run("start.ts", [], { PATH: "/nonexistent" });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  for (const fact of [
    /ordinary process +Pid \d+, 1 thread/,
    /State S \(sleeping\), SigBlk 0{16}, SigCgt 0{11}14002/,
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
])("%s %p is refused in one line", (script, args, line) => {
  const { exitCode, stdout, stderr } = run(script, args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toMatch(line);
});
