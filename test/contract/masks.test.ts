/** Signals inherited as blocked, pending or not, each alone, none and all: the same outcome as with the C reference. */
import { expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_CALL } from "../support/calls.ts";
import { sameAsReference } from "../support/compare.ts";
import { bytesOf } from "../support/launch.ts";
import { referenceAnswer } from "../support/record.ts";
import { OURS, start } from "../support/subject.ts";

const FILTERS = { "without a filter": {}, "under a filter": { refused: [[NO_CALL]] as const } };
const blocked = [1, 10, 30, 31, 34, 64];

for (const [where, filter] of Object.entries(FILTERS)) {
  /** Runs all cases with `program`. */
  const observe = async (program: string): Promise<unknown> => {
    const args = [join(import.meta.dir, "..", "support", "masks.ts"), program].map(bytesOf);
    const runner = await start({ program: process.execPath, args, env: { TMPDIR: tmpdir() }, ...filter });
    const { exit, stdout, stderr } = await runner.ended();
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    return JSON.parse(stdout);
  };
  test(`every mask of one signal, none and all, ${where}`, async () => {
    expect(await observe(OURS)).toEqual(await referenceAnswer(`masks: blocked, ${where}`, "another PID", observe));
  });
  const title = `signals ${blocked} blocked and pending, ${where}`;
  sameAsReference("masks", title, { blocked, pending: blocked, pidOne: true, ...filter }, (ours) =>
    expect(ours).toMatchObject({ ready: true, exit: 0 }),
  );
}
