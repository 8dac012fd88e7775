/** The variables that the loader of every dynamic program obeys: they affect ours as they affect the C reference. */
import { describe, expect, test } from "bun:test";
import { observe } from "../support/compare.ts";
import { referenceAnswer } from "../support/record.ts";
import { OURS } from "../support/subject.ts";
import { LOADER } from "../support/variables.ts";

/** Whether `program` run with `args` writes something else or ends otherwise because of `env`. */
async function heeds(program: string, env: Readonly<Record<string, string>>, args: readonly string[]) {
  return !Bun.deepEquals(await observe(program, { args, env }), await observe(program, { args, env: {} }));
}

describe("the loader's variables affect it as they affect any dynamic program", () => {
  for (const [name, value] of Object.entries(LOADER)) {
    test(`${name}=${value}`, async () => {
      const env = { [name]: value };
      const heeded = await referenceAnswer(`loader: ${name}=${value}`, (program) => heeds(program, env, ["-v"]));
      expect(await heeds(OURS, env, ["-v"])).toBe(heeded);
      // What does not show in -v does not show in the wait either.
      if (!heeded) expect(await heeds(OURS, env, [])).toBe(false);
    });
  }
});
