/** `npm run bun` changes nothing if it fails, and says why in one line. The CI runs it with the newest release. */
import { beforeAll, expect, test } from "bun:test";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json";
import { copyProject, runScript } from "../support/project.ts";
import { temporary } from "../support/temporary.ts";

const folder = temporary("bun");
const root = join(folder, "project");
const lock = join(root, "package-lock.json");
const PINS = ["package.json", "package-lock.json", "scripts/executable/bun.json"];

beforeAll(async () => {
  await copyProject(root, { downloads: false });
  await mkdir(join(root, "dist"));
});

/** Runs the command in the copy of the project, expects it to fail, and returns its line once nothing has changed. */
async function refusal(args: readonly string[], env = {}): Promise<string> {
  const pins = () => Promise.all(PINS.map((name) => Bun.file(join(root, name)).text()));
  const before = await pins();
  const { status, stdout, stderr } = await runScript("bun.ts", args, env, root);
  expect({ status, stdout, lines: stderr.split("\n").length - 1 }).toEqual({ status: 1, stdout: "", lines: 1 });
  expect(await pins()).toEqual(before);
  expect(await readdir(join(root, "dist"))).toEqual([]);
  return stderr;
}

test.each(["^1.4.0", "../bun", "1.4.5 || 1.4.4"])("%s is no release", async (name) => {
  expect(await refusal([name])).toBe(`error: Bun has no release ${name}\n`);
});

test("no network", async () => {
  const env = {
    npm_config_registry: "http://127.0.0.1:9",
    npm_config_noproxy: "127.0.0.1",
    npm_config_cache: join(folder, "npm"),
  };
  expect(await refusal([], env)).toMatch(/^error: cannot fetch bun@latest with npm: .*127\.0\.0\.1:9/);
});

test.each([
  ["that is cut off", (text: string) => text.slice(0, 1000), /^error: package-lock.json cannot be read: /],
  [
    "without Bun's packages",
    (text: string) => text.replaceAll("@oven/", "@other/"),
    /does not pin @oven\/bun-linux-x64 /,
  ],
  [
    "that pins another Bun",
    (text: string) => text.replaceAll(`"version": "${pkg.devDependencies.bun}"`, '"version": "1.4.0"'),
    /does not pin @oven\/bun-linux-x64 /,
  ],
])("a lock file %s", async (_, damage, line) => {
  const whole = await Bun.file(lock).text();
  await Bun.write(lock, damage(whole));
  expect(await refusal([])).toMatch(line);
  await Bun.write(lock, whole);
});
