/** Finds the Bun to compile into the executable: the one that runs this script, or the npm package's for the other platform. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json";
import { CACHE, kept, sha256Of } from "../command/kept.ts";
import { ROOT } from "../command/project.ts";
import { InputError, messageOf, notice, withProgress } from "../command/report.ts";
import { run } from "../command/run.ts";
import releases from "./bun.json";
import { Elf } from "./elf.ts";
import type { Platform } from "./platforms.ts";

/** SHA-256 of the executable in each platform's package. */
export type Digests = Readonly<Record<Platform["architecture"], string>>;

/** The releases of Bun that are known to work. `npm run bun` adds to them; package.json and package-lock.json pin one. */
export const RELEASES: Readonly<Record<string, Digests>> = releases;

/** Limits of a download, which npm would retry for minutes: a number of retries, then times in milliseconds. */
const PATIENCE = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"];

/** A Bun that can be compiled into the executable. */
export interface Runtime {
  readonly path: string;
  /** The file's, in hexadecimal. */
  readonly sha256: string;
  /** True if it comes from the npm package that package-lock.json pins. */
  readonly isPinned: boolean;
}

/** True if the ELF file at `path` asks for the platform's glibc loader: if it is the build of Bun that the image can run. */
async function fits(path: string, platform: Platform): Promise<boolean> {
  // The name of the loader is right behind the program headers, in the first page.
  return new Elf(await Bun.file(path).slice(0, 4096).bytes(), path).loader === platform.loader;
}

/**
 * The digest of the platform's package of Bun `release`, as package-lock.json of `project` has it. Throws an InputError
 * if it has none.
 */
export async function integrityOf({ bunPackage }: Platform, release: string, project: string): Promise<string> {
  const path = join(project, "package-lock.json");
  let packages: Readonly<Record<string, { version?: string; integrity?: string }>>;
  try {
    ({ packages } = JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new InputError(`package-lock.json cannot be read: ${messageOf(error)}`);
  }
  const entry = packages?.[`node_modules/${bunPackage}`];
  if (entry?.version === release && entry.integrity) return entry.integrity;
  throw new InputError(`package-lock.json does not pin ${bunPackage} ${release}`);
}

/** The reason that npm gives for a failure: with --json, in a document on standard output. */
function reasonOf(out: string, trouble: string): string {
  try {
    const { error } = JSON.parse(out) as { error: { code: string; summary: string } };
    return error.summary || error.code;
  } catch {
    return trouble.trim();
  }
}

/**
 * Runs npm, which knows the registry to use, with `args` in `folder`, and returns what it prints with --json. Throws an
 * InputError if it fails.
 *
 * @param spec what it is to fetch, for the message
 */
export async function npm(spec: string, args: readonly string[], folder: string): Promise<string> {
  const running = run(["npm", ...args, "--json", "--loglevel=error", ...PATIENCE], { cwd: folder });
  const { status, stdout, stderr } = await withProgress(`fetching ${spec} with npm`, running);
  if (status === 0) return stdout;
  throw new InputError(`cannot fetch ${spec} with npm: ${reasonOf(stdout, stderr) || `status ${status}`}`);
}

/**
 * Downloads the platform's package of Bun `release` to `folder`, checks it against package-lock.json of `project`, and
 * returns the path of its executable.
 */
export async function download(platform: Platform, release: string, project: string, folder: string): Promise<string> {
  const spec = `${platform.bunPackage}@${release}`;
  const expected = await integrityOf(platform, release, project);
  await npm(spec, ["pack", spec, "--pack-destination", folder, "--prefer-offline"], folder);
  const [tarball = ""] = await Array.fromAsync(new Bun.Glob("*.tgz").scan({ cwd: folder, absolute: true }));
  const bytes = await readFile(tarball);
  const digest = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  if (digest !== expected)
    throw new InputError(`${platform.bunPackage}: digest ${digest}, package-lock.json says ${expected}`);
  await new Bun.Archive(bytes).extract(folder, { glob: "package/bin/bun" });
  return join(folder, "package", "bin", "bun");
}

/** The name under which the platform's Bun is kept. */
export const nameOf = (platform: Platform, release: string): string => `bun-${platform.name}-${release}`;

/** See runtimeFor. */
async function find(platform: Platform): Promise<Runtime> {
  const pinned = pkg.devDependencies.bun;
  if (Bun.version !== pinned)
    throw new InputError(`this is Bun ${Bun.version}, the project pins ${pinned}: run npm ci`);
  const expected = RELEASES[pinned]?.[platform.architecture];
  if (!expected)
    throw new InputError(`scripts/executable/bun.json does not know Bun ${pinned}: npm run bun -- ${pinned}`);
  if (await fits(process.execPath, platform)) {
    const sha256 = await sha256Of(process.execPath);
    const isPinned = sha256 === expected;
    if (!isPinned)
      notice(
        `${process.execPath} (SHA-256 ${sha256}) is compiled in, which is not the Bun of ${platform.bunPackage} ${pinned}: the digests differ from the release's`,
      );
    return { path: process.execPath, sha256, isPinned };
  }
  const fetch = (folder: string) => download(platform, pinned, ROOT, folder);
  const path = await kept(join(CACHE, nameOf(platform, pinned)), fetch, expected);
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
