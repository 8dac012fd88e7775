/**
 * Loaded before all tests: what they put where temporary files go is in one folder of this run's. It is removed in the end,
 * also when a signal ends the run; what a run left that was killed, the next one removes.
 */
import { afterAll } from "bun:test";
import { chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { makeFolder } from "../../scripts/command/folder.ts";

const folder = makeFolder(tmpdir());
// Some of what is tested runs as another user.
chmodSync(folder.path, 0o755);
process.env["TMPDIR"] = folder.path;
afterAll(() => folder.remove());
