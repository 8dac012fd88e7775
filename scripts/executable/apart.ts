/**
 * Keeps the code that renders the help apart from the code that every start runs.
 *
 * citty and `node:util`, which src/usage.ts is made of, are 60 times as large as all the rest of src/, and Bun
 * hashes the whole source of a module when it loads it. So src/usage.ts is a separate entry, compiled like the first
 * and embedded in the same executable, where `import("./usage.ts")` finds it by its name there.
 */
import { join } from "node:path";
import type { BunPlugin } from "bun";
import { ROOT } from "../command/project.ts";

/** What is compiled: first what runs, then what it may import. Both are in one folder, inside the executable too. */
export const ENTRIES: readonly string[] = ["main.ts", "usage.ts"].map((name) => join(ROOT, "src", name));

/** Keeps src/usage.ts out of the bundle of the module that imports it. */
export function apartPlugin(): BunPlugin {
  return {
    name: "src/usage.ts apart",
    setup(build) {
      build.onResolve({ filter: /^\.\/usage\.ts$/ }, () => ({ path: "./usage.js", external: true }));
    },
  };
}
