/** `npm run record`: runs the contract's tests and writes what the C reference answered in them to reference.json. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { command } from "../../scripts/command/command.ts";
import { DIST, ROOT } from "../../scripts/command/project.ts";
import { InputError } from "../../scripts/command/report.ts";
import { compile, isStale } from "../../scripts/executable/compile.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { withFolder } from "../../scripts/linux/folder.ts";
import { NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { RECORD } from "../support/record.ts";
import { NEEDS_PID_ONE, NEEDS_ROOT } from "../support/skip.ts";

/** What the file `collected` holds, a case a line and in the order of their names: a difference is a line. Throws an InputError if two cases have one name. */
async function recordOf(collected: string): Promise<string> {
  const answers: [string, unknown][] = (await readFile(collected, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const names = answers.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new InputError(`two cases are called "${twice}"`);
  const byName = new Map(answers);
  const lines = names.sort().map((name) => `  ${JSON.stringify(name)}: ${JSON.stringify(byName.get(name))}`);
  return `{\n${lines.join(",\n")}\n}\n`;
}

await command("record", "Record what the C reference answers in the tests of the contract", {}, async () => {
  const missing = (Bun.which("cc") ? undefined : NO_REFERENCE) ?? NEEDS_ROOT ?? NEEDS_PID_ONE;
  if (missing) throw new InputError(`cannot record every case: ${missing}`);
  const program = join(DIST, "pause");
  if (isStale(program)) await compile(hostPlatform(), program);
  await withFolder(join(RECORD, ".."), async (folder) => {
    const [collected, written] = [join(folder, "collected"), join(folder, "reference.json")];
    const tests = Bun.spawn([process.execPath, "test", "--timeout", "300000", "test/contract"], {
      cwd: ROOT,
      env: { ...process.env, PAUSE_RECORD: collected },
      stdio: ["ignore", "inherit", "inherit"],
    });
    if ((await tests.exited) !== 0) throw new InputError(`${relative(ROOT, RECORD)} stays as it is: a test failed`);
    await writeFile(written, await recordOf(collected));
    await rename(written, RECORD);
  });
  console.log(`${relative(process.cwd(), RECORD)}: written`);
});
