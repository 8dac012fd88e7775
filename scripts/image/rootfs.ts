/** The root filesystem of the image: one description, shared by the OCI archive and the Containerfile. */
import { chmod, lutimes, mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError } from "../command/report.ts";
import { Elf } from "../executable/elf.ts";
import type { Platform } from "../executable/platforms.ts";
import { type DebianPackage, LIBC6 } from "./debian.ts";
import { licenceTexts } from "./licences.ts";

/** One directory, file or symbolic link. All belong to 0:0. */
export interface Entry {
  /** Path below the root, without a leading slash. */
  readonly path: string;
  readonly type: "directory" | "file" | "symlink";
  /** Permission bits. */
  readonly mode: number;
  /** A file's content. */
  readonly body?: Uint8Array;
  /** A symbolic link's target. */
  readonly target?: string;
}

/** The os-release(5) by which vulnerability scanners recognise the distribution; etc/debian_version goes with it. */
const OS_RELEASE = `PRETTY_NAME="pause-ts with the C library of Debian GNU/Linux ${LIBC6.release}"
NAME="Debian GNU/Linux"
ID=debian
VERSION_ID="${LIBC6.release}"
`;

/** The folder below /usr/lib where Debian's packages have their libraries, by architecture: the multiarch tuple. */
const TUPLES = { amd64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as const;

/**
 * The folders of the root that Debian has kept in /usr since release 13, with links to them from its package base-files
 * (file-hierarchy(7)). The loader is requested by a path through one, and first looks for libraries through the other.
 */
function mergedFolders({ loader }: Platform): string[] {
  return [...new Set(["lib", loader.split("/")[1] ?? ""])];
}

/**
 * Parts of libc that have been empty since glibc 2.34 (its NEWS). A library built before, which somebody preloads into every
 * process of a node, still asks for them, and without them nothing would start.
 */
export const EMPTY = ["libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"];

/**
 * Paths in the package of all that `executable` needs to start: its loader under the name it asks for, below /usr, and
 * its libraries with all of theirs; and the empty ones.
 *
 * Throws an InputError naming what is missing.
 */
export function librariesOf(executable: Uint8Array, platform: Platform, libc: DebianPackage): string[] {
  const tuple = TUPLES[platform.architecture];
  const { loader, libraries } = new Elf(executable, "/pause");
  if (loader !== platform.loader) throw new InputError(`/pause asks for the loader ${loader}, not ${platform.loader}`);
  const link = `usr${loader}`;
  if (!libc.files.has(link))
    throw new InputError(`/pause asks for ${loader}, but libc6 ${libc.version} holds no /${link}`);
  const paths = new Set([link]);
  const add = (names: readonly string[], by: string): void => {
    for (const name of names) {
      const path = `usr/lib/${tuple}/${name}`;
      if (paths.has(path)) continue;
      const file = libc.files.get(path);
      if (!file?.body) throw new InputError(`${by} needs ${name}, which libc6 ${libc.version} does not hold`);
      paths.add(path);
      add(new Elf(file.body, path).libraries, `/${path}`);
    }
  };
  // The loader's path is a link to a library in the tuple's folder.
  add([basename(loader), ...libraries, ...EMPTY], "/pause");
  return [...paths];
}

/** The directories above `paths`, each once. */
function parents(paths: readonly string[]): Entry[] {
  const found = new Set<string>();
  for (const path of paths) {
    for (let parent = dirname(path); parent !== "."; parent = dirname(parent)) found.add(parent);
  }
  return [...found].map((path) => ({ path, type: "directory", mode: 0o755 }));
}

/**
 * Everything in the image, parents first, in the order of the paths' bytes.
 *
 * Besides /pause and its libraries these are their licences and the metadata that distroless images carry: the control
 * paragraph and checksums in /var/lib/dpkg/status.d, and the distribution's name and version.
 *
 * Throws an InputError if the package lacks a library that `executable` needs, or a licence cannot be read.
 */
export function rootfs(executable: Uint8Array, platform: Platform, libc: DebianPackage): Entry[] {
  const taken = [...librariesOf(executable, platform, libc), "usr/share/doc/libc6/copyright"];
  const file = (path: string, body: string | Uint8Array, mode = 0o644): Entry => {
    return { path, type: "file", mode, body: typeof body === "string" ? new TextEncoder().encode(body) : body };
  };
  const ofPackage = taken.map((path): Entry => {
    const { mode, body, target } = libc.files.get(path) ?? {};
    if (target !== undefined) return { path, type: "symlink", mode: 0o777, target };
    if (!body) throw new InputError(`libc6 ${libc.version} holds no ${path}`);
    return file(path, body, mode);
  });
  const sums = libc.md5sums.split("\n").filter((line) => taken.includes(line.split(/\s+/, 2)[1] ?? ""));
  const entries: Entry[] = [
    file("pause", executable, 0o755),
    ...mergedFolders(platform).map((path): Entry => ({ path, type: "symlink", mode: 0o777, target: `usr/${path}` })),
    ...ofPackage,
    ...licenceTexts().map(({ path, body }) => file(path, body)),
    file(`var/lib/dpkg/status.d/${LIBC6.name}`, libc.control),
    file(`var/lib/dpkg/status.d/${LIBC6.name}.md5sums`, `${sums.join("\n")}\n`),
    file("etc/os-release", OS_RELEASE),
    file("etc/debian_version", `${LIBC6.release}\n`),
  ];
  const all = [...parents(entries.map(({ path }) => path)), ...entries];
  return all.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

/**
 * Writes `entries` below `folder`, which must not exist, with every timestamp set to `time` (seconds since 1970). They
 * belong to whoever runs this.
 */
export async function writeRootfs(entries: readonly Entry[], folder: string, time: number): Promise<void> {
  await mkdir(folder);
  await chmod(folder, 0o755);
  for (const { path, type, mode, body, target } of entries) {
    const here = join(folder, path);
    if (type === "directory") await mkdir(here);
    if (type === "file" && body) await writeFile(here, body);
    if (type === "symlink" && target) await symlink(target, here);
    // Not left to mkdir and open, which apply the umask.
    else await chmod(here, mode);
  }
  // Backwards: a directory's time changes when something is put into it.
  for (const { path } of entries.toReversed()) await lutimes(join(folder, path), time, time);
  await lutimes(folder, time, time);
}
