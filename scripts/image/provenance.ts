/** The origin of an image: time, revision, and the labels that every OCI image should have. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json";
import { ROOT } from "../command/project.ts";
import { InputError } from "../command/report.ts";
import { output } from "../command/run.ts";
import { imageLicence } from "./licences.ts";

/** The origin of a build. */
export interface Provenance {
  /** Every timestamp in the image: whole seconds since 1970. */
  readonly time: number;
  /** The commit; unknown outside a clone. */
  readonly revision?: string;
  /** URL of the sources, if known. */
  readonly source?: string;
}

/** Runs git in the project's folder. Throws an InputError with git's reason. */
async function git(...args: readonly string[]): Promise<string> {
  if (!Bun.which("git")) throw new InputError("this is a clone, but git is not installed: set SOURCE_DATE_EPOCH");
  return (await output(["git", "-C", ROOT, ...args])).trim();
}

/** The commit of the project's folder, with `-dirty` appended if tracked files differ; undefined outside a clone. */
async function commit(): Promise<string | undefined> {
  if (!isClone()) return undefined;
  const changes = await git("status", "--porcelain", "--untracked-files=no");
  return `${await git("rev-parse", "HEAD")}${changes === "" ? "" : "-dirty"}`;
}

/**
 * The address of the sources: git's remote `origin` if that is an http or https address, without the name and password that it
 * may have; else undefined. A path or an account on another machine is of no use to others.
 */
async function sourceAddress(): Promise<string | undefined> {
  if (!isClone() || !Bun.which("git")) return undefined;
  const remote = await git("config", "--get", "--default", "", "remote.origin.url");
  const address = URL.parse(remote);
  if (!address || !/^https?:$/.test(address.protocol)) return undefined;
  return `${address.protocol}//${address.host}${address.pathname}`;
}

/** True if the project's folder itself is a clone: a clone further up would be another project's. */
function isClone(): boolean {
  // A folder, or in a worktree a file.
  return existsSync(join(ROOT, ".git"));
}

/**
 * The date of the newest release in CHANGELOG.md, which a source archive contains, in seconds since 1970. Throws an
 * InputError if there is none.
 */
async function releaseTime(): Promise<number> {
  const changelog = Bun.file(join(ROOT, "CHANGELOG.md"));
  const text = (await changelog.exists()) ? await changelog.text() : "";
  const date = text.match(/^#.*\b(\d{4}-\d\d-\d\d)\b/m)?.[1];
  if (!date)
    throw new InputError("no clone and no dated release in CHANGELOG.md to take the time from: set SOURCE_DATE_EPOCH");
  return Date.parse(date) / 1000;
}

/**
 * SOURCE_DATE_EPOCH as a number, undefined if not set. Throws an InputError if it is not a whole number that a tar
 * header holds.
 */
function epoch(): number | undefined {
  const { SOURCE_DATE_EPOCH: text } = process.env;
  if (!text) return undefined;
  // Eleven octal digits: tar(5).
  if (/^\d+$/.test(text) && Number(text) < 8 ** 11) return Number(text);
  throw new InputError(`SOURCE_DATE_EPOCH is "${text}", not a number of seconds since 1970`);
}

/**
 * The origin of this build. The time is SOURCE_DATE_EPOCH, or the commit's, or outside a clone that of the newest
 * release in CHANGELOG.md. The revision is `revision`, or the commit; the source is `source`, or what sourceAddress
 * finds.
 *
 * Throws an InputError if there is no such time, or `source` is not a URL.
 */
export async function provenance(revision?: string, source?: string): Promise<Provenance> {
  if (source && !URL.canParse(source)) throw new InputError(`--source "${source}" is not a URL`);
  const chosen = epoch();
  const known = revision || (await commit());
  const address = source || (await sourceAddress());
  const time = chosen ?? (isClone() ? Number(await git("log", "-1", "--format=%ct")) : await releaseTime());
  return { time, ...(known && { revision: known }), ...(address && { source: address }) };
}

/** `time` (seconds since 1970) as RFC 3339 in UTC. */
export function rfc3339(time: number): string {
  return new Date(time * 1000).toISOString().replace(".000Z", "Z");
}

/** The labels of the image, which are also its annotations: the OCI image specification's predefined keys. */
export function labels({ time, revision, source }: Provenance): Record<string, string> {
  return Object.fromEntries(
    Object.entries({
      created: rfc3339(time),
      description: pkg.description,
      licenses: imageLicence(),
      revision,
      source,
      title: pkg.name,
      version: pkg.version,
    }).flatMap(([key, value]) => (value ? [[`org.opencontainers.image.${key}`, value]] : [])),
  );
}
