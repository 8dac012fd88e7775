/**
 * Gets the C library's package: the user's file, the cached one, a mirror's by its digest, or the newest by Debian's
 * signed index.
 */
import { basename, join } from "node:path";
import { CACHE, kept, sha256Of } from "../command/kept.ts";
import { InputError, messageOf, notice, withProgress } from "../command/report.ts";
import { downloadByApt, mirrorsOfApt, NotThere, newest } from "../debian/apt.ts";
import type { Platform } from "../executable/platforms.ts";
import { withFolder } from "../linux/folder.ts";
import { type DebianPackage, LIBC6, unpack } from "./debian.ts";

/** The sources of packages. */
export interface Supply {
  /** Root of a Debian mirror (http, https or file URL); default: apt's mirrors. */
  readonly mirror?: string | undefined;
  /** Packages that the user has given, by architecture: no mirror is asked for these. */
  readonly brought?: ReadonlyMap<string, DebianPackage>;
  /** The longest that a mirror may send nothing, in milliseconds; default: PATIENCE. */
  readonly patience?: number;
  /** File with the keys that verify Debian's indexes; default: that of the package debian-archive-keyring. */
  readonly keyring?: string;
}

/** The longest that a mirror may send nothing before it is given up, in milliseconds. */
const PATIENCE = 20_000;

/** The user's remedies if no mirror helps. */
const HELP = "name another mirror with --debian-mirror URL, or a package with --libc6 FILE";

/** The consequence of using a package other than the pinned one. */
const CONSEQUENCE = "the image's digest is another than the release's, and its bill of materials says what is in it";

/**
 * Checks the root of a mirror, if there is one, and strips trailing slashes. Throws an InputError if its scheme is not
 * supported.
 */
export function mirrorAt(address = process.env["DEBIAN_MIRROR"]): string | undefined {
  if (!address) return undefined;
  if (/^(https?|file):$/.test(URL.parse(address)?.protocol ?? "")) return address.replace(/\/+$/, "");
  throw new InputError(`"${address}" is not the http, https or file URL of a Debian mirror`);
}

/** Downloads `url` (http, https or file) to `path`. Throws an InputError with the reason: a NotThere if there is no such file. */
async function download(url: string, path: string, patience: number): Promise<void> {
  const chunks: Uint8Array[] = [];
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), patience);
  try {
    const response = await fetch(url, { signal: silence.signal });
    if (response.status === 404 || response.status === 410) throw new NotThere(`${response.status}`);
    if (!response.ok || !response.body) throw new InputError(`${response.status} ${response.statusText}`);
    for await (const chunk of response.body) {
      timer.refresh();
      chunks.push(chunk);
    }
  } catch (error) {
    if (silence.signal.aborted) throw new InputError(`sent nothing for ${patience / 1000} s`);
    if (error instanceof InputError) throw error;
    // Bun's messages ask whether there was a typo.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") throw new NotThere("No such file");
    throw new InputError(`cannot be reached: ${typeof code === "string" ? code : messageOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
  await Bun.write(path, Buffer.concat(chunks));
}

/** The mirrors to ask. */
async function mirrorsOf({ mirror }: Supply): Promise<string[]> {
  return mirror === undefined ? mirrorsOfApt() : [mirror];
}

/**
 * Fetches the pinned package to `path` from a mirror. Throws an InputError with each one's answer: a NotThere if any
 * has no such file.
 */
async function fetchPinned({ architecture }: Platform, path: string, supply: Supply): Promise<string> {
  const mirrors = await mirrorsOf(supply);
  if (mirrors.length === 0) throw new InputError(`there is no apt here to ask for ${LIBC6.name}: ${HELP}`);
  const expected = LIBC6.sha256[architecture];
  const refusals: string[] = [];
  let gone = false;
  for (const site of mirrors) {
    const url = `${site}/pool/main/g/${LIBC6.source}/${basename(path)}`;
    const downloading = (supply.mirror === undefined ? downloadByApt : download)(
      url,
      path,
      supply.patience ?? PATIENCE,
    );
    try {
      await withProgress(`fetching ${url}`, downloading);
      const digest = await sha256Of(path);
      if (digest === expected) return path;
      refusals.push(`${url}: SHA-256 is ${digest}, the project pins ${expected}`);
    } catch (error) {
      gone ||= error instanceof NotThere;
      refusals.push(`${url}: ${messageOf(error)}`);
    }
  }
  const message = `cannot fetch ${LIBC6.name} ${LIBC6.version}: ${refusals.join("; ")}`;
  throw gone ? new NotThere(message) : new InputError(`${message}; ${HELP}`);
}

/** True if Debian's version `a` is newer than `b`: deb-version(7). */
function isNewer(a: string, b: string): boolean {
  return Bun.spawnSync(["dpkg", "--compare-versions", a, "gt", b]).exitCode === 0;
}

/** The newest package in the signed index of the same Debian release. Throws an InputError that says why there is none. */
async function successor({ architecture }: Platform, supply: Supply): Promise<DebianPackage> {
  const mirrors = await mirrorsOf(supply);
  return withFolder(CACHE, async (folder) => {
    const { patience = PATIENCE, keyring } = supply;
    const path = await newest(LIBC6.name, architecture, LIBC6.codename, mirrors, folder, patience, keyring);
    const found = await unpack(await Bun.file(path).bytes(), basename(path), [architecture]);
    if (isNewer(found.version, LIBC6.version)) return found;
    throw new InputError(`the newest of Debian ${LIBC6.release} there is ${found.version}`);
  });
}

/**
 * The libc6 for `platform`, unpacked: the user's, or the pinned one. If the mirrors no longer have that, the newest
 * signed one of the same Debian release, with a line that says so.
 *
 * Throws an InputError if there is none, or none that can be verified.
 */
export async function libc6(platform: Platform, supply: Supply = {}): Promise<DebianPackage> {
  const { architecture } = platform;
  const brought = supply.brought?.get(architecture);
  if (brought) return brought;
  const name = `${LIBC6.name}_${LIBC6.version}_${architecture}.deb`;
  const fetch = (folder: string) => fetchPinned(platform, join(folder, name), supply);
  try {
    const path = await kept(join(CACHE, name), fetch, LIBC6.sha256[architecture]);
    return await unpack(await Bun.file(path).bytes(), path, [architecture]);
  } catch (error) {
    if (!(error instanceof NotThere)) throw error;
    const found = await successor(platform, supply).catch((why: unknown) => {
      throw new InputError(`${messageOf(error)}; nor any newer one: ${messageOf(why)}; ${HELP}`);
    });
    notice(
      `no mirror has ${LIBC6.name} ${LIBC6.version} for ${architecture} any more: ${found.version} is taken, the newest of Debian ${LIBC6.release} by its signed index; ${CONSEQUENCE}`,
    );
    return found;
  }
}

/**
 * Reads the packages in `list`, comma-separated paths, one for each of `platforms`. A line says so if one is not the
 * pinned one.
 *
 * Throws an InputError if one is not a libc6 of the same Debian release, or one for a platform is missing.
 */
export async function readPackages(
  list: string,
  platforms: readonly Platform[],
): Promise<ReadonlyMap<string, DebianPackage>> {
  const brought = new Map<string, DebianPackage>();
  const architectures = platforms.map(({ architecture }) => architecture);
  for (const path of list.split(",")) {
    const archive = await Bun.file(path)
      .bytes()
      .catch((error: unknown) => {
        throw new InputError(`--libc6 ${path}: ${messageOf(error)}`);
      });
    const found = await unpack(archive, `--libc6 ${path}`, architectures);
    if (brought.has(found.architecture))
      throw new InputError(`--libc6 ${path}: it is the second for ${found.architecture}`);
    brought.set(found.architecture, found);
  }
  const missing = architectures.find((architecture) => !brought.has(architecture));
  if (missing)
    throw new InputError(`--libc6 names no package for ${missing}: name one for each platform, with commas between`);
  const pinned: readonly string[] = Object.values(LIBC6.sha256);
  for (const { version, architecture, sha256 } of brought.values()) {
    if (pinned.includes(sha256)) continue;
    notice(
      `${LIBC6.name} ${version} for ${architecture} (SHA-256 ${sha256}) is not the pinned ${LIBC6.version}: ${CONSEQUENCE}`,
    );
  }
  return brought;
}
