/** The variables that the loader of every dynamic program obeys: they affect ours as they affect the C reference. */
import { expect, test } from "bun:test";
import { observe } from "../support/compare.ts";
import { referenceAnswer } from "../support/record.ts";
import { OURS } from "../support/subject.ts";
import { LOADER } from "../support/variables.ts";

const variables = Object.entries(LOADER).map(([name, value]) => ({ [name]: value }));

/** The variables of `among` because of which `program`, run with `args`, writes something else or ends otherwise. */
async function heeded(program: string, args: readonly string[], among = variables) {
  const without = await observe(program, { args, env: {} });
  const found: (typeof variables)[number][] = [];
  for (const env of among) if (!Bun.deepEquals(await observe(program, { args, env }), without)) found.push(env);
  return found;
}

test("the loader's variables affect it as they affect any dynamic program", async () => {
  const shown = await referenceAnswer("loader: variables that show in -v", "another PID", (it) => heeded(it, ["-v"]));
  expect(await heeded(OURS, ["-v"])).toEqual(shown);
  // The others do not show in the wait either.
  const others = variables.filter((env) => !shown.some((one) => Bun.deepEquals(one, env)));
  expect(await heeded(OURS, [], others)).toEqual([]);
});
