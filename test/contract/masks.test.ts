/** Signals inherited as blocked, none, each alone and all, pending and not: the same becomes of them as with the C reference. */
import { expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_CALL } from "../support/calls.ts";
import { sameAsReference } from "../support/compare.ts";
import { bytesOf } from "../support/launch.ts";
import type { Masked } from "../support/masks.ts";
import { referenceAnswer } from "../support/record.ts";
import { OURS, start } from "../support/subject.ts";

/** Runs all cases with `program`, under a seccomp filter or not. */
async function observe(program: string, filtered: boolean): Promise<Readonly<Record<string, Masked>>> {
  const args = [join(import.meta.dir, "..", "support", "masks.ts"), program].map(bytesOf);
  const refused = filtered ? { refused: [[NO_CALL]] as const } : {};
  const runner = await start({ program: process.execPath, args, env: { TMPDIR: tmpdir() }, ...refused });
  const { exit, stdout, stderr } = await runner.ended();
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  return JSON.parse(stdout);
}

for (const filtered of [false, true]) {
  const where = filtered ? "under a filter" : "without a filter";
  test(`masks inherited by another PID, ${where}`, async () => {
    const cases = new Map<string, Promise<Readonly<Record<string, Masked>>>>();
    const ask = (program: string) => {
      const asked = cases.get(program) ?? observe(program, filtered);
      cases.set(program, asked);
      return asked;
    };
    for (const [name, ours] of Object.entries(await ask(OURS))) {
      const reference = await referenceAnswer(
        `masks: ${name}, ${where}`,
        async (program) => (await ask(program))[name] as Masked,
      );
      expect({ [name]: ours }).toEqual({ [name]: reference });
    }
  });
}

const blocked = [1, 10, 30, 31, 34, 64];
for (const pidOne of [false, true]) {
  for (const refused of [{}, { refused: [[NO_CALL]] as const }]) {
    const where = `${pidOne ? "PID 1" : "another PID"}${"refused" in refused ? " under a filter" : ""}`;
    const title = `signals ${blocked} blocked and pending, ${where}`;
    sameAsReference("masks", title, { blocked, pending: blocked, pidOne, ...refused }, (ours) =>
      expect(ours).toMatchObject({ ready: true, exit: 0, signal: null }),
    );
  }
}
