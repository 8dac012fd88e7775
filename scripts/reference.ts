/** Compiles the C reference, the oracle of the differential tests and the yardstick of the bench. */
import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../package.json";

/** The reference executable, or undefined on a machine without a C compiler. */
export const REFERENCE: string | undefined = compileReference();

/** Why the tests that need the reference are skipped here. */
export const NO_REFERENCE = "no C compiler (cc) to build the reference with";

/** Compiles test/reference/pause.c, with the version text of ours so that output compares to the byte. Throws if it does not compile. */
function compileReference(): string | undefined {
  const cc = Bun.which("cc");
  if (!cc) return undefined;
  // The same base name as ours: it shows in /proc/PID/comm.
  const folder = mkdtempSync(join(tmpdir(), "pause-reference-"));
  chmodSync(folder, 0o755); // Some cases run as another user.
  const path = join(folder, "pause");
  const source = join(import.meta.dir, "..", "test", "reference", "pause.c");
  const flags = ["-O2", "-Wall", "-Wextra", "-Werror", `-DVERSION="pause.ts ${version}"`];
  const { exitCode, stderr } = Bun.spawnSync([cc, ...flags, "-o", path, source]);
  if (exitCode !== 0) throw new Error(`the reference does not compile: ${stderr}`);
  return path;
}
