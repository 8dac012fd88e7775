/** `npm run record`: runs the contract's tests and writes the answers of the C reference in them to reference.json. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { command } from "../../scripts/command/command.ts";
import { DIST, ROOT } from "../../scripts/command/project.ts";
import { InputError } from "../../scripts/command/report.ts";
import { compile, isStale } from "../../scripts/executable/compile.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { withFolder } from "../../scripts/linux/folder.ts";
import { RECORD } from "../support/record.ts";
import { NEEDS_CC, NEEDS_PID_ONE, NEEDS_ROOT } from "../support/skip.ts";

/** The answers in the file `collected`, a line for each case, by name. Throws an InputError if two cases share a name. */
async function recordOf(collected: string): Promise<string> {
  const cases = new Map<string, Record<string, unknown>>();
  for (const line of (await readFile(collected, "utf8")).trim().split("\n")) {
    const { name, place, answer } = JSON.parse(line);
    const answers = cases.get(name) ?? {};
    if (place in answers) throw new InputError(`two cases are called "${name}", ${place}`);
    cases.set(name, { ...answers, [place]: answer });
  }
  const names = [...cases.keys()].sort();
  return `{\n${names.map((name) => `  ${JSON.stringify(name)}: ${JSON.stringify(cases.get(name))}`).join(",\n")}\n}\n`;
}

await command("record", "Record what the C reference answers in the tests of the contract", {}, async () => {
  const missing = NEEDS_CC ?? NEEDS_ROOT ?? NEEDS_PID_ONE;
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
