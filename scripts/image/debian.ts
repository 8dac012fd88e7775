/** The C library: Debian's libc6, one exact version for each architecture, fetched, checked and unpacked. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { unpackTar } from "modern-tar";
import { XzReadableStream } from "xz-decompress";
import { CACHE } from "../build/bun.ts";
import type { Platform } from "../build/platforms.ts";
import { InputError, messageOf, progress } from "../command/report.ts";
import { aptRepositories } from "../linux/apt.ts";

/**
 * The pinned package. Digests are those of Debian's signed package index
 * (`apt-cache show libc6`); a new version is a change of these lines and nothing else.
 */
export const LIBC6 = {
  name: "libc6",
  source: "glibc",
  version: "2.36-9+deb12u14",
  /** SPDX licence expression of its libraries; its copyright file has the exceptions. */
  licence: "LGPL-2.1-or-later",
  /** Debian's release, as in VERSION_ID of os-release(5). */
  release: "12",
  /** SHA-256 of each architecture's .deb file. */
  sha256: {
    amd64: "ba4f88f73dbc3ae9055f3c20f4523bfdbaf1ad13ff95e258924f77d20b4fbedf",
    arm64: "01f4330719fd4f65580e16ea5a0527f372fca750e8f588d26deaf09f2d3b1cf4",
  },
} as const;

/** Apt's own downloader, which knows the machine's proxies, certificates and transports. */
const APT_HELPER = "/usr/lib/apt/apt-helper";

/** A file or a symbolic link of a package. */
export interface PackageFile {
  /** Permission bits. */
  readonly mode: number;
  /** The content; a link has none. */
  readonly body?: Uint8Array;
  /** Where a symbolic link leads. */
  readonly target?: string;
}

/** An unpacked package. */
export interface DebianPackage {
  /** The control paragraph: deb-control(5). */
  readonly control: string;
  /** `MD5  path` lines: deb-md5sums(5). */
  readonly md5sums: string;
  /** Files and links by path, without a leading slash. */
  readonly files: ReadonlyMap<string, PackageFile>;
}

/** Where the package lies below the root of any Debian mirror. */
function poolPath({ architecture }: Platform): string {
  return `pool/main/g/${LIBC6.source}/${LIBC6.name}_${LIBC6.version}_${architecture}.deb`;
}

/** The mirrors that apt on this machine is set up with; none without apt. */
async function aptMirrors(): Promise<string[]> {
  if (!(await Bun.file(APT_HELPER).exists())) return [];
  return [...new Set((await aptRepositories()).map(({ site }) => site))];
}

/** Downloads `url` to `path` with apt. Throws an InputError with apt's reason. */
async function downloadByApt(url: string, path: string): Promise<void> {
  const apt = Bun.spawn([APT_HELPER, "download-file", url, path], { stdout: "ignore", stderr: "pipe" });
  const [trouble, status] = await Promise.all([apt.stderr.text(), apt.exited]);
  const reason = trouble.match(/^E: (.*)$/m)?.[1] ?? `status ${status}`;
  if (status !== 0) throw new InputError(reason);
}

/** Downloads `url` (http, https or file) to `path`. Throws an InputError with the reason. */
async function download(url: string, path: string): Promise<void> {
  const response = await fetch(url).catch((error: unknown) => {
    throw new InputError(messageOf(error));
  });
  if (!response.ok) throw new InputError(`${response.status} ${response.statusText}`);
  await Bun.write(path, response);
}

/** Fetches the package to `path`, from `mirror` or else from apt's. Throws an InputError that says what each answered. */
async function obtain(platform: Platform, path: string, mirror: string | undefined): Promise<void> {
  const mirrors = mirror === undefined ? await aptMirrors() : [mirror];
  if (mirrors.length === 0) {
    throw new InputError("there is no apt here to ask for libc6: name a Debian mirror with --debian-mirror URL");
  }
  const refusals: string[] = [];
  for (const site of mirrors) {
    const url = `${site.replace(/\/+$/, "")}/${poolPath(platform)}`;
    progress(`fetching ${url}`);
    try {
      await (mirror === undefined ? downloadByApt(url, path) : download(url, path));
      return;
    } catch (error) {
      refusals.push(`${url}: ${messageOf(error)}`);
    }
  }
  throw new InputError(
    `cannot fetch libc6 ${LIBC6.version}: ${refusals.join("; ")}; name another mirror with --debian-mirror URL`,
  );
}

/** The bytes of the package, from the cache or fetched. Throws an InputError if it cannot be had or has another digest. */
async function archiveOf(platform: Platform, mirror: string | undefined): Promise<Uint8Array> {
  const cached = join(CACHE, `${LIBC6.name}_${LIBC6.version}_${platform.architecture}.deb`);
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "fetch-"));
  try {
    const fetched = join(folder, "libc6.deb");
    const known = await Bun.file(cached).exists();
    if (!known) await obtain(platform, fetched, mirror);
    const bytes = await Bun.file(known ? cached : fetched).bytes();
    const digest = createHash("sha256").update(bytes).digest("hex");
    const expected = LIBC6.sha256[platform.architecture];
    if (digest !== expected) {
      throw new InputError(`libc6 for ${platform.architecture}: SHA-256 is ${digest}, the project pins ${expected}`);
    }
    if (!known) await rename(fetched, cached);
    return bytes;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The member of an ar(5) archive whose name begins with `prefix`. Throws an InputError if there is none. */
function member(archive: Uint8Array, prefix: string): Uint8Array {
  const header = new TextDecoder("latin1");
  // Behind the magic line: 60 bytes of header (name in the first 16, size at 48), then the content, padded to even.
  for (let at = 8; at + 60 <= archive.length; ) {
    const size = Number(header.decode(archive.subarray(at + 48, at + 58)));
    if (header.decode(archive.subarray(at, at + 16)).startsWith(prefix)) {
      return archive.subarray(at + 60, at + 60 + size);
    }
    at += 60 + size + (size % 2);
  }
  throw new InputError(`the package holds no ${prefix}`);
}

/** The entries of the tar.xz member whose name begins with `prefix`, by path without the leading `./`. */
async function entries(archive: Uint8Array, prefix: string): Promise<Map<string, PackageFile>> {
  const unpacked = new XzReadableStream(new Blob([member(archive, prefix).slice()]).stream());
  const found = new Map<string, PackageFile>();
  for (const { header, data } of await unpackTar(unpacked)) {
    const { mode = 0, linkname: target } = header;
    const path = header.name.replace(/^\.\//, "");
    if (header.type === "file" && data) found.set(path, { mode, body: data });
    if (header.type === "symlink" && target) found.set(path, { mode, target });
  }
  return found;
}

/**
 * The pinned libc6 for `platform`, unpacked.
 *
 * @param mirror root of a Debian mirror (http, https or file URL); default: the mirrors of this machine's apt
 *
 * Throws an InputError if no mirror has that version, or what it has is not what is pinned.
 */
export async function libc6(platform: Platform, mirror?: string): Promise<DebianPackage> {
  const archive = await archiveOf(platform, mirror);
  const control = await entries(archive, "control.tar.xz");
  const text = (name: string) => new TextDecoder().decode(control.get(name)?.body);
  return { control: text("control"), md5sums: text("md5sums"), files: await entries(archive, "data.tar.xz") };
}
