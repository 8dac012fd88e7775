/**
 * Decides whether an engine's tests run here: if the engine is not installed, they are skipped with a reason, which CI
 * counts as a failure.
 */
import { beforeAll, describe, test } from "bun:test";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { NEEDS_ROOT, notInstalled } from "../support/skip.ts";
import { GENERATIONS, type Generation } from "./generations.ts";
import { Host } from "./host.ts";
import { record } from "./results.ts";

/** The longest that one test or one start of an engine may take, in milliseconds: a slow machine must not fail. */
export const PATIENCE = 180_000;

/** Describes tests that need root, a C compiler for the reference, a static busybox and `commands`. */
export function describeEngine(name: string, commands: readonly string[], body: () => void): void {
  const missing = NEEDS_ROOT ?? notInstalled("cc", "busybox", "unshare", "nsenter", ...commands);
  if (missing === undefined) describe(name, body);
  else test.skip(`${name}: ${missing}`, () => {});
}

/**
 * The path in the variable `name`, to what no package has and whoever runs the tests may bring along. Otherwise
 * undefined, and the reason is printed: that is no skipped test, in CI neither. Throws if there is nothing at the path.
 */
export function given(name: "CRIO" | "KUBELET", what: string): string | undefined {
  const path = process.env[name];
  if (path === undefined) console.log(`${what}: left out, no package has it: ${name} names none`);
  else if (!existsSync(path)) throw new Error(`${name} names ${path}, which does not exist`);
  return path && resolve(path);
}

/**
 * Describes tests for generations of container engines that have `programs`, whose versions are printed and recorded, and
 * need `tools` besides.
 */
export function describeGenerations(
  name: string,
  programs: readonly string[],
  body: (generation: Generation) => void,
  { tools = [], of = GENERATIONS }: { readonly tools?: readonly string[]; readonly of?: readonly Generation[] } = {},
): void {
  for (const generation of of) {
    describeEngine(`${name} of ${generation.name}`, generation.takes([...programs, ...tools]), () => {
      beforeAll(async () => {
        await using host = await Host.start(await generation.root());
        const versions: Record<string, string> = {
          system: await host.output(["sh", "-c", '. /etc/os-release; echo "$PRETTY_NAME"']),
        };
        for (const program of programs) {
          const said = await host.output([program, "--version"]);
          versions[program] = /\d+\.\d+\S*/.exec(said)?.[0].replace(/,$/, "") ?? said;
        }
        await record(`${name} of ${generation.name}, versions`, versions);
      }, 4 * PATIENCE);
      body(generation);
    });
  }
}
