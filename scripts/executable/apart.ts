/**
 * Keeps the code that renders the help apart from the code that every start runs.
 *
 * citty and `node:util`, which src/usage.ts uses, are 60 times as large as the rest of src/, and Bun hashes a module's
 * whole source when it loads it. So src/usage.ts is a second entry point, compiled like the first and embedded in the
 * same executable, and `import("./usage.ts")` finds it by the name that it has there.
 */
import { join } from "node:path";
import type { BunPlugin } from "bun";
import { ROOT } from "../command/project.ts";

/** What is compiled: first what runs, then what it may import. They share a folder, inside the executable too. */
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
