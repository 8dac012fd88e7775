/** `npm run record` writes a whole record or leaves the old one unchanged. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import type { Ran } from "../../scripts/command/run.ts";
import { NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { copyProject, runScript } from "../support/project.ts";
import { IS_ROOT, NEEDS_PID_ONE, NEEDS_ROOT, testUnless } from "../support/skip.ts";
import { IMAGE_USER } from "../support/subject.ts";

const NEEDS_CC = Bun.which("cc") ? undefined : NO_REFERENCE;

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pause-record-"));
  await chmod(root, 0o755);
  await copyProject(root, { downloads: true });
  for (const path of ["dist/pause", "test/support", "test/contract/record.ts", "test/contract/reference.json"]) {
    await cp(join(ROOT, path), join(root, path), { recursive: true });
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The record in the copy. */
const recorded = () => readFile(join(root, "test", "contract", "reference.json"), "utf8");

/** Records in the copy. */
const record = (env: Readonly<Record<string, string>> = {}, wrapper: readonly string[] = []): Promise<Ran> =>
  runScript(join("..", "test", "contract", "record.ts"), [], env, root, wrapper);

/** The command that makes root an ordinary user for what is appended to it. */
const AS_USER = IS_ROOT ? ["setpriv", `--reuid=${IMAGE_USER}`, `--regid=${IMAGE_USER}`, "--clear-groups"] : [];
const NO_USER =
  IS_ROOT &&
  (!Bun.which("setpriv") || Bun.spawnSync([...AS_USER, "test", "-x", tmpdir(), "-a", "-r", ROOT]).exitCode !== 0)
    ? "no other user may look into the project or the folder for temporary files"
    : undefined;

/** Expects one line that says what is missing, and an unchanged record. */
async function expectRefusal({ status, stdout, stderr }: Ran, what: string): Promise<void> {
  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: "",
    stderr: `error: cannot record every case: ${what}\n`,
  });
  expect(await recorded()).toBe(await readFile(join(ROOT, "test", "contract", "reference.json"), "utf8"));
}

test("without a compiler it refuses, and the record is unchanged", async () => {
  await expectRefusal(await record({ PATH: "/nonexistent" }), NO_REFERENCE);
});

testUnless(NO_USER ?? NEEDS_CC, "as an ordinary user it refuses, and the record stays", async () => {
  await expectRefusal(await record({}, AS_USER), "needs root");
});

testUnless(NEEDS_CC ?? NEEDS_ROOT ?? NEEDS_PID_ONE, "it records every answer or none", async () => {
  const folder = join(root, "test", "contract");
  const asking = (...names: readonly string[]) => `import { test } from "bun:test";
    import { referenceAnswer } from "../support/record.ts";
    ${names.map((name) => `test("${name}", () => referenceAnswer("${name}", async () => 1).then(() => {}));`).join("\n")}`;
  const before = await recorded();

  await writeFile(join(folder, "one.test.ts"), asking("b", "a"));
  await writeFile(join(folder, "two.test.ts"), `${asking("c")}\ntest("fails", () => { throw new Error("failed"); });`);
  const failed = await record();
  expect([failed.status, await recorded()]).toEqual([1, before]);
  expect(failed.stderr).toEndWith("error: test/contract/reference.json stays as it is: a test failed\n");

  await writeFile(join(folder, "two.test.ts"), asking("a"));
  const twice = await record();
  expect([twice.status, await recorded()]).toEqual([1, before]);
  expect(twice.stderr).toEndWith('error: two cases are called "a"\n');

  await writeFile(join(folder, "two.test.ts"), asking("c"));
  expect((await record()).status).toBe(0);
  expect(await recorded()).toBe('{\n  "a": 1,\n  "b": 1,\n  "c": 1\n}\n');
  expect((await readdir(folder)).sort()).toEqual(["one.test.ts", "record.ts", "reference.json", "two.test.ts"]);
});
