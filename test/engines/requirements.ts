/** Decides whether an engine's tests run here: skipped with a reason where the engine is not installed, failed in CI. */
import { describe, test } from "bun:test";

/** The longest that one test or one start of an engine may take, in milliseconds: a slow machine must not fail. */
export const PATIENCE = 180_000;

const { CI } = process.env;

/** Describes tests that need root, a C compiler for the reference, a static busybox and `commands`. */
export function describeEngine(name: string, commands: readonly string[], body: () => void): void {
  const lacking = ["cc", "busybox", "unshare", "nsenter", ...commands].filter((command) => !Bun.which(command));
  const reasons = [
    ...(process.getuid?.() === 0 ? [] : ["it takes root"]),
    ...(lacking.length === 0 ? [] : [`not installed: ${lacking.join(", ")}`]),
  ];
  if (reasons.length === 0) {
    describe(name, body);
  } else if (CI) {
    test(name, () => {
      throw new Error(`an engine must not be skipped in CI: ${reasons.join("; ")}`);
    });
  } else {
    test.skip(`${name}: ${reasons.join("; ")}`, () => {});
  }
}
