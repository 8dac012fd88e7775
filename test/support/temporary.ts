/**
 * Loaded before all tests: temporary files are in one folder of this run, removed at its end; that of a run that a
 * signal ended, the next one removes.
 */
import { afterAll } from "bun:test";
import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder } from "../../scripts/linux/folder.ts";

const folder = makeFolder(tmpdir());
process.env["TMPDIR"] = folder.path;
afterAll(folder.remove);

/**
 * Makes a folder whose name begins with `name`, which other users may look into, and returns its path. It is removed
 * with the run's.
 */
export function temporary(name: string): string {
  const path = mkdtempSync(join(folder.path, `${name}-`));
  chmodSync(path, 0o755);
  return path;
}
