/** Cold starts are measured as cold, and leave no loop device behind, however they end. */
import { expect } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { coldStarts, DISK_NAME, NO_LOOP_DEVICE, READ_AHEAD } from "../../scripts/bench/cold.ts";
import { C_READY, OURS_READY, type Program } from "../../scripts/bench/programs.ts";
import { ROOT } from "../../scripts/command/project.ts";
import { until } from "../../scripts/linux/proc.ts";
import { compileReference } from "../../scripts/reference/compile.ts";
import { NEEDS_CC, testUnless } from "../support/skip.ts";
import { OURS } from "../support/subject.ts";

const obstacle = NEEDS_CC ?? ((await coldStarts([], 0)) ? undefined : NO_LOOP_DEVICE);

const both = { args: [], version: true };
const programs: Program[] = [
  { ...both, name: "ours", path: OURS, ready: OURS_READY },
  { ...both, name: "C", path: compileReference() ?? "", ready: C_READY },
];

/** The number of loop devices of cold starts, by the files behind them: a mounted one stays. */
function devices(): number {
  const files = readdirSync("/sys/block").map((name) => {
    try {
      return readFileSync(join("/sys/block", name, "loop", "backing_file"), "utf8");
    } catch {
      return ""; // No loop device, or one without a file.
    }
  });
  return files.filter((file) => file.includes(DISK_NAME)).length;
}

/** Waits until there are no more of them than `before`. */
const noneLeft = (before: number) => until("the loop device to be given back", () => devices() === before);

testUnless(obstacle, "each start reads its program again, and leaves nothing", async () => {
  const before = devices();
  const results = await coldStarts(programs, 2);
  const size = statSync(OURS).size / 1024;
  for (const kib of READ_AHEAD) {
    const starts = results?.[kib] ?? [];
    expect(starts.map(({ length }) => length)).toEqual([2, 2]);
    const [ours = 0, reference = 0] = starts.map((all) => Math.min(...all.map(({ read }) => read)));
    // Libc and its loader alone are more than a MB, and a start touches a good part of them.
    expect(reference).toBeGreaterThan(256);
    expect(ours).toBeGreaterThan(reference);
    expect(ours).toBeLessThan(size + 8 * 1024);
  }
  await noneLeft(before);
});

testUnless(obstacle, "killed while it measures, it leaves nothing either", async () => {
  const before = devices();
  const source = `const { coldStarts } = await import(${JSON.stringify(join(ROOT, "scripts", "bench", "cold.ts"))});
    await coldStarts(${JSON.stringify(programs)}, 1e6);`;
  const child = Bun.spawn([process.execPath, "-e", source], {
    env: process.env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    await until("the disk", () => devices() > before);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  await noneLeft(before);
});
