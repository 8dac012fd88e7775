/** `npm run record`: runs the contract's tests, which write what the C reference answers, and puts that in place if all pass. */
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { DIST } from "../../scripts/command/project.ts";
import { built } from "../../scripts/executable/compile.ts";

await built();
const record = join(DIST, "reference.json");
const tests = Bun.spawn([process.execPath, "test", "--timeout", "300000", import.meta.dir], {
  env: { ...process.env, PAUSE_RECORD: record },
  stdio: ["ignore", "inherit", "inherit"],
});
if ((await tests.exited) !== 0) process.exit(1);
await rename(record, join(import.meta.dir, "reference.json"));
