/** Finds the pinned Bun for a platform: the one that runs this script, or the npm package's, checked against the lock file. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json";
import lock from "../../package-lock.json";
import { ROOT } from "../command/project.ts";
import { InputError, progress } from "../command/report.ts";
import { Elf } from "./elf.ts";
import type { Platform } from "./platforms.ts";

/** Where downloads are kept between builds; `npm ci` clears it. */
export const CACHE = join(ROOT, "node_modules", ".cache", "pause-ts");

/** Whether the ELF file at `path` asks for the platform's glibc loader, in other words is the build of Bun that the image can run. */
async function fits(path: string, platform: Platform): Promise<boolean> {
  // The name of the loader lies right behind the program headers, in the first page.
  return new Elf(await Bun.file(path).slice(0, 4096).bytes(), path).loader === platform.loader;
}

/** Checks `tarball` against the digest that package-lock.json holds for the platform's package of Bun. */
function verify(tarball: Buffer, platform: Platform): void {
  const packages: Record<string, { version?: string; integrity?: string }> = lock.packages;
  const entry = packages[`node_modules/${platform.bunPackage}`];
  if (entry?.version !== Bun.version || !entry.integrity) {
    throw new InputError(`package-lock.json does not pin ${platform.bunPackage} ${Bun.version}`);
  }
  const digest = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  if (digest !== entry.integrity) {
    throw new InputError(`${platform.bunPackage}: digest ${digest}, package-lock.json says ${entry.integrity}`);
  }
}

/** Downloads the package of Bun with npm, which knows the registry to use, and puts its executable at `path`. */
async function download(platform: Platform, path: string): Promise<void> {
  progress(`fetching ${platform.bunPackage} ${Bun.version}`);
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "fetch-"));
  try {
    const spec = `${platform.bunPackage}@${Bun.version}`;
    const npm = Bun.spawn(["npm", "pack", spec, "--pack-destination", folder, "--silent"], {
      cwd: folder,
      stdout: "pipe",
      stderr: "pipe",
    });
    const [name, trouble, status] = await Promise.all([npm.stdout.text(), npm.stderr.text(), npm.exited]);
    if (status !== 0) throw new InputError(`npm pack ${spec} failed: ${trouble.trim() || `status ${status}`}`);
    const tarball = await readFile(join(folder, name.trim()));
    verify(tarball, platform);
    await new Bun.Archive(tarball).extract(folder, { glob: "package/bin/bun" });
    await rename(join(folder, "package", "bin", "bun"), path);
  } finally {
    await rm(folder, { recursive: true, force: true });
    progress("");
  }
}

/**
 * The path of the pinned Bun executable for `platform`.
 *
 * Throws an InputError when the running Bun is not the pinned version, or the package cannot be had or is not
 * the one that package-lock.json names.
 */
export async function bunFor(platform: Platform): Promise<string> {
  const pinned = pkg.devDependencies.bun;
  if (Bun.version !== pinned)
    throw new InputError(`this is Bun ${Bun.version}, the project pins ${pinned}: run npm ci`);
  if (await fits(process.execPath, platform)) return process.execPath;
  const path = join(CACHE, `bun-${platform.name}-${pinned}`);
  if (!(await Bun.file(path).exists())) await download(platform, path);
  if (!(await fits(path, platform))) throw new InputError(`${platform.bunPackage} does not use ${platform.loader}`);
  return path;
}
