/** Pins a release of Bun in a copy of the project, and puts the result in place. */
import { cp, link, mkdir, readdir, rename, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import pkg from "../../package.json";
import { sha256Of } from "../command/kept.ts";
import { DIST, ROOT } from "../command/project.ts";
import { InputError, withProgress } from "../command/report.ts";
import { run } from "../command/run.ts";
import { download, integrityOf, nameOf, npm, RELEASES } from "../executable/bun.ts";
import { refuseFullDisk } from "../executable/compile.ts";
import { hostPlatform, PLATFORMS } from "../executable/platforms.ts";
import { withFolder } from "../linux/folder.ts";

/** The files that pin Bun. */
const PINS = ["package.json", "package-lock.json", "scripts/executable/bun.json"];

/** Room for two packages, two Buns, two executables and a third that is not yet cut, as a number of Buns. */
const ROOM = 6;

/** Throws an InputError unless there is room in dist/, and a lock file that pins the present Bun. */
export async function refuseUnfit(): Promise<void> {
  for (const platform of PLATFORMS) await integrityOf(platform, pkg.devDependencies.bun, ROOT);
  await mkdir(DIST, { recursive: true });
  await refuseFullDisk(DIST, process.execPath, ROOM);
}

/** The release called `name`. Throws an InputError if npm knows none of that name. */
export async function releaseNamed(name: string): Promise<string> {
  const printed = /^[\w.-]+$/.test(name) ? await npm(`bun@${name}`, ["view", `bun@${name}`, "version"], ROOT) : "";
  const [, release] = /^"([\w.-]+)"\s*$/.exec(printed) ?? [];
  if (!release) throw new InputError(`Bun has no release ${name}`);
  return release;
}

/**
 * Makes the new folder `project` a copy of the project in which `release` is pinned, with both platforms' Buns in its cache,
 * and builds both executables.
 *
 * Returns what the builds print. Throws an InputError if anything fails.
 */
export async function prepare(release: string, project: string): Promise<string> {
  await mkdir(project);
  for (const name of await readdir(ROOT)) {
    if (/^(\.git|dist|node_modules)$/.test(name)) continue;
    await cp(join(ROOT, name), join(project, name), { recursive: true });
  }
  const specs = [`bun@${release}`, `bun-types@${release}`];
  await npm(specs.join(", "), ["install", "--package-lock-only", "--save-dev", "--save-exact", ...specs], project);
  const modules = join(project, "node_modules");
  const cache = join(modules, ".cache", "pause-ts");
  await mkdir(cache, { recursive: true });
  for (const name of await readdir(join(ROOT, "node_modules"))) {
    if (name !== ".cache") await symlink(join(ROOT, "node_modules", name), join(modules, name));
  }

  const digests: Record<string, string> = {};
  for (const platform of PLATFORMS) {
    await withFolder(cache, async (folder) => {
      const path = await download(platform, release, project, folder);
      digests[platform.architecture] = await sha256Of(path);
      await rename(path, join(cache, nameOf(platform, release)));
    });
  }
  const known = JSON.stringify({ ...RELEASES, [release]: digests }, null, 2);
  await writeFile(join(project, "scripts", "executable", "bun.json"), `${known}\n`);

  let printed = "";
  const bun = join(cache, nameOf(hostPlatform(), release));
  for (const platform of PLATFORMS) {
    const options = platform === hostPlatform() ? [] : ["--platform", platform.id];
    const build = run([bun, join("scripts", "build.ts"), ...options], { cwd: project });
    const { status, stdout, stderr } = await withProgress(`building for ${platform.id} with Bun ${release}`, build);
    if (status !== 0) throw new InputError(`Bun ${release} does not build: ${stderr.trim().replace(/^error: /, "")}`);
    printed += stdout;
  }
  return printed;
}

/**
 * Puts the pins of the copy `project` in place, and what was built, and installs the Bun. If it cannot be installed,
 * the old pins are back.
 */
export async function replace(project: string, release: string): Promise<void> {
  const old = join(project, "..", "old");
  const platforms = PLATFORMS.map((platform) => (platform === hostPlatform() ? "" : platform.name));
  const place = async (from: string, file: string) => {
    await mkdir(dirname(join(ROOT, file)), { recursive: true });
    await rename(join(from, file), join(ROOT, file));
  };
  for (const pin of PINS) {
    await mkdir(dirname(join(old, pin)), { recursive: true });
    await link(join(ROOT, pin), join(old, pin));
  }
  for (const pin of PINS) await place(project, pin);
  try {
    await npm(`bun@${release}`, ["install", "--prefer-offline"], ROOT);
  } catch (error) {
    for (const pin of PINS) await place(old, pin);
    throw error;
  }
  for (const platform of PLATFORMS)
    await place(project, join("node_modules", ".cache", "pause-ts", nameOf(platform, release)));
  for (const name of platforms) await place(project, join("dist", name, "pause"));
}
