/** The scripts that a newcomer runs: their output, and one clear line when something is wrong. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import pkg from "../../package.json";
import { ROOT } from "../../scripts/command/project.ts";
import { run } from "../../scripts/command/run.ts";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { NO_SIGNALS, TWO_HANDLERS } from "../../scripts/linux/proc.ts";
import { runScript } from "../support/project.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";

/** The signal masks as start shows them. */
const MASKS = `SigBlk ${NO_SIGNALS}, SigCgt ${TWO_HANDLERS}`;

testUnless(NEEDS_PID_ONE, "start shows every step", async () => {
  const { status, stdout, stderr } = await runScript("start.ts");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const fact of [
    /NSpid \d+ 1 /,
    MASKS,
    /orphan is made +PID \d+/,
    /no child left, no zombie/,
    /still asleep +State S \(sleeping\)/,
    /exit 0, "Shutting down, got signal: Terminated"/,
  ]) {
    expect(stdout).toMatch(fact);
  }
});

test("start shows an ordinary process where no PID namespace can be made, and says what a namespace needs", async () => {
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
  ["build.ts", ["--platform", "linux/mips"], /^error: unknown platform "linux\/mips": .*linux\/amd64, linux\/arm64\n$/],
  ["build.ts", ["--platform", "linux/arm64", "--target", "linux-arm64"], /^error: --platform or --target, not both\n$/],
  ["build.ts", ["--platfrom", "linux/arm64"], /^error: Unknown option '--platfrom'.*\n$/],
  ["build.ts", ["linux/arm64"], /^error: unexpected "linux\/arm64"\n$/],
  ["build.ts", ["--if-stale=yes"], /^error: Option '--if-stale' does not take an argument\n$/],
  ["image.ts", ["--no-tag"], /^error: Unknown option '--no-tag'.*\n$/],
  ["image.ts", ["--output"], /^error: Option '--output <value>' argument missing\n$/],
  ["image.ts", ["--output", "--tag", "a:1"], /^error: Option '--output' argument is ambiguous.*\n$/],
  ["image.ts", ["--output="], /^error: --output takes a value\n$/],
  ["image.ts", ["--platform", "linux/amd64", "--platform", "linux/arm64"], /^error: --platform is given twice\n$/],
  ["soak.ts", ["--minutes", "many"], /^error: --minutes many: not a number\n$/],
  ["soak.ts", ["--orphans=-1"], /^error: --orphans -1: not a number\n$/],
  ["soak.ts", ["--rest", "long"], /^error: --rest long: not a number\n$/],
  ["bench.ts", ["--check", "--record"], /^error: --check or --record, not both\n$/],
])("%s %p is refused in one line", async (script, args, line) => {
  const { status, stdout, stderr } = await runScript(script, args);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(line);
});

/** The character that starts and ends a colour. */
const ESCAPE = "\x1b";

describe.each(["build.ts", "start.ts", "image.ts", "bench.ts", "soak.ts"])("%s", (script) => {
  // Even with FORCE_COLOR and without CI there are no colours in a pipe.
  const env = { CI: "", TEST: "", NO_COLOR: "", TERM: "xterm", FORCE_COLOR: "1" };

  test.each(["--help", "-h"])("%s is plain in a pipe", async (option) => {
    const { status, stdout, stderr } = await runScript(script, [option], env);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain(`USAGE npm run ${script.replace(".ts", "")} --`);
    expect(stdout).not.toContain(ESCAPE);
  });

  test.each(["--version", "-v"])("%s prints the project's name and version", async (option) => {
    const outcome = await runScript(script, [option], env);
    expect(outcome).toEqual({ status: 0, stdout: `${pkg.name} ${pkg.version}\n`, stderr: "" });
  });
});

test("every shell script has a --help", async () => {
  for (const name of new Bun.Glob("{scripts/*.sh,.ci/*}").scanSync({ cwd: ROOT, dot: true })) {
    const path = join(ROOT, name);
    // A script that does not know it would start its work.
    expect(await Bun.file(path).text()).toContain("--help)");
    const { status, stdout, stderr } = await run(["bash", path, "--help"], { cwd: "/" });
    expect([name, status, stderr]).toEqual([name, 0, ""]);
    expect(stdout).toMatch(/^\S.*\n/);
    expect(stdout).not.toMatch(/^#|set -/m);
  }
});
