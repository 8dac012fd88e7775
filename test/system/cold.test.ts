/** Cold starts are measured as cold, and leave neither a mount nor a loop device behind, however they end. */
import { expect } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Cold,
  coldObstacle,
  coldStarts,
  DISK_NAME,
  NO_LOOP_DEVICE,
  READ_AHEAD,
} from "../../scripts/bench/cold.ts";
import { PAUSE_READY, type Program } from "../../scripts/bench/programs.ts";
import { ROOT } from "../../scripts/command/project.ts";
import { until } from "../../scripts/linux/proc.ts";
import { compileReference, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { testIf } from "../support/skip.ts";
import { OURS } from "../support/subject.ts";

const missing = coldObstacle() ?? (compileReference() ? undefined : NO_REFERENCE);
const obstacle = missing ?? ((await coldStarts([], 0)) ? undefined : NO_LOOP_DEVICE);

const programs = [OURS, compileReference() ?? ""].map(
  (path): Program => ({ name: path, path, args: [], ready: PAUSE_READY, version: true }),
);

/** The files behind the loop devices of cold starts, those that have lost their names too, and such files. */
function left(): string[] {
  const devices = readdirSync("/sys/block").flatMap((name) => {
    try {
      return [readFileSync(join("/sys/block", name, "loop", "backing_file"), "utf8")];
    } catch {
      return []; // No loop device, or one without a file.
    }
  });
  return [...devices, ...readdirSync(tmpdir())].filter((name) => name.includes(DISK_NAME));
}

const mounts = () =>
  readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(" /mnt "));

testIf(obstacle, "each start reads its program again, and leaves nothing", async () => {
  const before = { mounts: mounts(), left: left() };
  const results = await coldStarts(programs, 2);
  if (!results) throw new Error("unreachable: there was a disk before");
  const size = statSync(OURS).size / 1024;
  const least = (starts: readonly Cold[] | undefined) => Math.min(...(starts ?? []).map(({ read }) => read));
  for (const kib of READ_AHEAD) {
    const [ours, reference] = results[kib] ?? [];
    expect([ours?.ready.length, ours?.version.length]).toEqual([2, 2]);
    // Libc and its loader alone are more than a MB, and a start touches a good part of them.
    for (const starts of [reference?.ready, reference?.version]) expect(least(starts)).toBeGreaterThan(256);
    for (const starts of [ours?.ready, ours?.version]) {
      expect(least(starts)).toBeGreaterThan(least(reference?.ready));
      expect(least(starts)).toBeLessThan(size + 8 * 1024);
    }
  }
  expect(least(results[8192]?.[0]?.ready)).toBeGreaterThan(least(results[128]?.[0]?.ready));
  await until("the loop device to be given back", () => left().length === before.left.length);
  expect(mounts()).toEqual(before.mounts);
});

testIf(obstacle, "killed while it measures, it leaves nothing either", async () => {
  const before = { mounts: mounts(), left: left() };
  // Mounted, the file has lost its name.
  const mounted = () => left().filter((name) => name.includes("(deleted)")).length;
  const others = mounted();
  const source = `const { coldStarts } = await import(${JSON.stringify(join(ROOT, "scripts", "bench", "cold.ts"))});
    await coldStarts(${JSON.stringify(programs)}, 1e6);`;
  const child = Bun.spawn([process.execPath, "-e", source], {
    env: { ...process.env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    await until("the disk", () => mounted() > others);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  await until("the loop device to be given back", () => left().length === before.left.length);
  expect(mounts()).toEqual(before.mounts);
});
