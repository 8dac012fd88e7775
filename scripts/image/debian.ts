/** The C library: the Debian package that it comes from, and its unpacking. */
import { createHash } from "node:crypto";
import { unpackTar } from "modern-tar";
import { XzReadableStream } from "xz-decompress";
import { InputError, messageOf } from "../command/report.ts";
import type { Platform } from "../executable/platforms.ts";

/**
 * The pinned package, one exact version for each architecture. Digests are from Debian's signed package index
 * (`apt-cache show libc6`); for a new version only these lines change.
 */
export const LIBC6 = {
  name: "libc6",
  source: "glibc",
  version: "2.41-12+deb13u5",
  /** SPDX licence expression of its libraries; its copyright file has the exceptions. */
  licence: "LGPL-2.1-or-later",
  /** Debian's release, as in VERSION_ID of os-release(5). */
  release: "13",
  /** The same, as in the names of its suites. */
  codename: "trixie",
  /** SHA-256 of each architecture's .deb file. */
  sha256: {
    amd64: "b59b0625cd1a791375d40dab23a4d5d3d0641e3d0a773501becdc3725b7f99cf",
    arm64: "0966fc3da1a26cc57647c68b5736f791b6e7eb498173a7993f63b6c89b4ed4f5",
  },
} as const;

/** A file or a symbolic link of a package. */
interface PackageFile {
  /** Permission bits. */
  readonly mode: number;
  /** The content; a link has none. */
  readonly body?: Uint8Array;
  /** A symbolic link's target. */
  readonly target?: string;
}

/** An unpacked package. */
export interface DebianPackage {
  readonly version: string;
  readonly architecture: string;
  /** The .deb file's, in hexadecimal. */
  readonly sha256: string;
  /** The maintainer's name and mail address. */
  readonly maintainer: string;
  /** The control paragraph: deb-control(5). */
  readonly control: string;
  /** `MD5  path` lines: deb-md5sums(5). */
  readonly md5sums: string;
  /** Files and links by path, without a leading slash. */
  readonly files: ReadonlyMap<string, PackageFile>;
}

/** The member of an ar(5) archive whose name begins with `prefix`. Throws an InputError if there is none. */
function member(archive: Uint8Array, prefix: string): Uint8Array {
  const header = new TextDecoder("latin1");
  if (header.decode(archive.subarray(0, 8)) !== "!<arch>\n") throw new InputError("it is not a Debian package");
  // After the magic line: 60 bytes of header (name in the first 16, size at 48), then the content, padded to even.
  for (let at = 8; at + 60 <= archive.length; ) {
    const size = Number(header.decode(archive.subarray(at + 48, at + 58)));
    if (header.decode(archive.subarray(at, at + 16)).startsWith(prefix)) {
      return archive.subarray(at + 60, at + 60 + size);
    }
    at += 60 + size + (size % 2);
  }
  throw new InputError(`it holds no ${prefix}`);
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

/** True if `version` belongs to the pinned Debian release, which keeps the upstream version and only counts up its suffix. */
function isOfRelease(version: string): boolean {
  const first = LIBC6.version.replace(/\+deb\d+u\d+$/, "");
  return version === first || version.startsWith(`${first}+`);
}

/**
 * Unpacks `archive`, a .deb file: deb(5).
 *
 * Throws an InputError that calls the file `name` if it is not one, or not a version of the pinned package from the
 * same Debian release for one of `architectures`.
 */
export async function unpack(
  archive: Uint8Array,
  name: string,
  architectures: readonly Platform["architecture"][],
): Promise<DebianPackage> {
  try {
    const parts = await entries(archive, "control.tar.xz");
    const text = (path: string) => new TextDecoder().decode(parts.get(path)?.body);
    const control = text("control");
    const field = (key: string) => control.match(new RegExp(`^${key}: (.*)$`, "m"))?.[1] ?? "";
    const [is, version, architecture] = [field("Package"), field("Version"), field("Architecture")];
    if (is !== LIBC6.name || !isOfRelease(version)) {
      throw new InputError(
        `it is ${is} ${version}, not a ${LIBC6.name} of Debian ${LIBC6.release} like ${LIBC6.version}`,
      );
    }
    if (!architectures.some((wanted) => wanted === architecture)) {
      throw new InputError(`it is for ${architecture}, not for ${architectures.join(" or ")}`);
    }
    return {
      version,
      architecture,
      sha256: createHash("sha256").update(archive).digest("hex"),
      maintainer: field("Maintainer"),
      control,
      md5sums: text("md5sums"),
      files: await entries(archive, "data.tar.xz"),
    };
  } catch (error) {
    throw new InputError(`${name}: ${messageOf(error)}`);
  }
}
