/** Finds the Bun to compile into the executable: the one that runs this script, or the npm package's for the other platform. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json";
import lock from "../../package-lock.json";
import { InputError, notice, withProgress } from "../command/report.ts";
import { kept, sha256Of } from "./cache.ts";
import { Elf } from "./elf.ts";
import type { Platform } from "./platforms.ts";

/**
 * SHA-256 of the executable in each platform's package, which package-lock.json pins by a digest of the whole package.
 * Whenever the package is fetched it is checked against both.
 */
export const EXECUTABLES = {
  amd64: "a83d263767d839e4d2649ca8e35d07159c7afc99afdc96d731ced29e056dda0c",
  arm64: "616f267a34278ff5ac282df37ffdfba1d7141f4f6926bca99af2cd6ef3ad32b1",
} as const;

/** Limits of a download, which npm would retry for minutes: a number of retries, then times in milliseconds. */
const PATIENCE = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"];

/** A Bun that can be compiled into the executable. */
export interface Runtime {
  readonly path: string;
  /** The file's, in hexadecimal. */
  readonly sha256: string;
  /** Whether it comes from the npm package that package-lock.json pins. */
  readonly isPinned: boolean;
}

/** Whether the ELF file at `path` asks for the platform's glibc loader: whether it is the build of Bun that the image can run. */
async function fits(path: string, platform: Platform): Promise<boolean> {
  // The name of the loader is right behind the program headers, in the first page.
  return new Elf(await Bun.file(path).slice(0, 4096).bytes(), path).loader === platform.loader;
}

/** Checks `tarball` against the digest that package-lock.json holds for the platform's package of Bun. */
function verify(tarball: Buffer, { bunPackage }: Platform): void {
  const packages: Record<string, { version?: string; integrity?: string }> = lock.packages;
  const entry = packages[`node_modules/${bunPackage}`];
  if (entry?.version !== Bun.version || !entry.integrity) {
    throw new InputError(`package-lock.json does not pin ${bunPackage} ${Bun.version}`);
  }
  const digest = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  if (digest !== entry.integrity) {
    throw new InputError(`${bunPackage}: digest ${digest}, package-lock.json says ${entry.integrity}`);
  }
}

/** What npm says went wrong: with --json, in a document on standard output. */
function reasonOf(out: string, trouble: string): string {
  try {
    const { error } = JSON.parse(out) as { error: { code: string; summary: string } };
    return error.summary || error.code;
  } catch {
    return trouble.trim();
  }
}

/** Downloads Bun's package to `folder` with npm, which knows the registry to use, and returns the path of its executable. */
async function download(platform: Platform, folder: string): Promise<string> {
  const spec = `${platform.bunPackage}@${Bun.version}`;
  const options = ["--json", "--loglevel=error", "--prefer-offline", ...PATIENCE];
  const npm = Bun.spawn(["npm", "pack", spec, "--pack-destination", folder, ...options], {
    cwd: folder,
    stdout: "pipe",
    stderr: "pipe",
  });
  const ended = Promise.all([npm.stdout.text(), npm.stderr.text(), npm.exited]);
  const [out, trouble, status] = await withProgress(`fetching ${spec} with npm`, ended);
  if (status !== 0)
    throw new InputError(`cannot fetch ${spec} with npm: ${reasonOf(out, trouble) || `status ${status}`}`);
  const [tarball = ""] = await Array.fromAsync(new Bun.Glob("*.tgz").scan({ cwd: folder, absolute: true }));
  const bytes = await readFile(tarball);
  verify(bytes, platform);
  await new Bun.Archive(bytes).extract(folder, { glob: "package/bin/bun" });
  return join(folder, "package", "bin", "bun");
}

/** See runtimeFor. */
async function find(platform: Platform): Promise<Runtime> {
  const pinned = pkg.devDependencies.bun;
  if (Bun.version !== pinned)
    throw new InputError(`this is Bun ${Bun.version}, the project pins ${pinned}: run npm ci`);
  const expected = EXECUTABLES[platform.architecture];
  if (await fits(process.execPath, platform)) {
    const sha256 = await sha256Of(process.execPath);
    const isPinned = sha256 === expected;
    if (!isPinned)
      notice(
        `${process.execPath} (SHA-256 ${sha256}) is compiled in, which is not the Bun of ${platform.bunPackage} ${pinned}: the digests differ from the release's`,
      );
    return { path: process.execPath, sha256, isPinned };
  }
  const name = `bun-${platform.name}-${pinned}`;
  const path = await kept(name, expected, (folder) => download(platform, folder));
  if (!(await fits(path, platform))) throw new InputError(`${platform.bunPackage} does not use ${platform.loader}`);
  return { path, sha256: expected, isPinned: true };
}

/** The runtimes found so far. */
const runtimes = new Map<Platform, Promise<Runtime>>();

/**
 * The Bun for `platform`: found, checked and if need be fetched once per process. If it is the running one and not the
 * pinned one, a line says so.
 *
 * Throws an InputError if the running Bun is not the pinned version, or the package cannot be fetched or is not the one
 * that package-lock.json names.
 */
export function runtimeFor(platform: Platform): Promise<Runtime> {
  const found = runtimes.get(platform) ?? find(platform);
  runtimes.set(platform, found);
  return found;
}

/** The path of the Bun for `platform`: see runtimeFor. */
export async function bunFor(platform: Platform): Promise<string> {
  return (await runtimeFor(platform)).path;
}
