/** `npm run check` checks the project, and not what was built into its folder. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { copyProject } from "../support/project.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pause-check-"));
  await copyProject(root, { downloads: true });
  const documents = (await readdir(ROOT)).filter((name) => name.endsWith(".md"));
  const rest = ["test", "docs", "LICENSE", "Containerfile", ".ci", ".github", ".biome.json", ".gitignore", ".npmrc"];
  for (const name of [...documents, ...rest]) await cp(join(ROOT, name), join(root, name), { recursive: true });
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Runs every check in the copy. Checks whose tool is missing are left out. */
async function check(): Promise<{ status: number; said: string }> {
  const PATH = [join(root, "node_modules", ".bin"), process.env["PATH"]].join(":");
  const shell = Bun.spawn(["sh", join(root, "scripts", "check.sh")], {
    // Biome keeps a cache.
    env: { ...process.env, PATH, CI: "", XDG_CACHE_HOME: join(root, ".cache") },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = await Promise.all([shell.stdout.text(), shell.stderr.text()]);
  return { status: await shell.exited, said: said.join("") };
}

test("a root filesystem and bills of materials in the project's folder do not matter", async () => {
  const lib = join(root, "rootfs", "lib64");
  await mkdir(lib, { recursive: true });
  await symlink("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", join(lib, "ld-linux-x86-64.so.2"));
  await symlink("nothing", join(lib, "broken"));
  await writeFile(join(root, "pause-ts.linux-amd64.cdx.json"), "{}{");
  // Faults of the project itself are not this test's business.
  expect((await check()).said).not.toMatch(/rootfs|cdx\.json|unexpected error/);
});

test("an unformatted source does matter", async () => {
  await writeFile(join(root, "src", "unformatted.ts"), "export const one = {a:1}");
  const { status, said } = await check();
  expect([status, said.includes("src/unformatted.ts")]).toEqual([1, true]);
});
