/** The variables that the loader of every dynamic program obeys: they affect ours as they affect the C reference. */
import { expect, test } from "bun:test";
import { observe } from "../support/compare.ts";
import { referenceAnswer } from "../support/record.ts";
import { OURS } from "../support/subject.ts";

/**
 * The variables that the loader of a dynamic program heeds, each with a value that shows. No executable can refuse them,
 * ours as little as one in C: SECURITY.md. MALLOC_* are glibc.malloc.* under their old names.
 */
const LOADER: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    `MALLOC_ARENA_MAX MALLOC_ARENA_TEST MALLOC_CHECK_ MALLOC_MMAP_MAX_ MALLOC_MMAP_THRESHOLD_ MALLOC_PERTURB_
     MALLOC_TCACHE_COUNT MALLOC_TOP_PAD_ MALLOC_TRIM_THRESHOLD_ LD_BIND_NOW LD_BIND_NOT LD_DYNAMIC_WEAK LD_HWCAP_MASK
     LD_PREFER_MAP_32BIT_EXEC LD_SHOW_AUXV LD_TRACE_LOADED_OBJECTS LD_USE_LOAD_BIAS LD_VERBOSE LD_WARN`
      .split(/\s+/)
      .map((name) => [name, "1"]),
  ),
  LD_AUDIT: "/nonexistent.so",
  LD_DEBUG: "libs",
  LD_LIBRARY_PATH: "/nonexistent",
  LD_ORIGIN_PATH: "/nonexistent",
  LD_PRELOAD: "/nonexistent.so",
  GLIBC_TUNABLES: "glibc.malloc.check=3:glibc.malloc.perturb=85:glibc.rtld.nns=2",
};

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
