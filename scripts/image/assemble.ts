/** Assembles the image: from the sources to an archive, or to a folder with the root filesystem. */
import { constants, existsSync } from "node:fs";
import { access, lstat, mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError, messageOf, progress } from "../command/report.ts";
import { runtimeFor } from "../executable/bun.ts";
import { compile } from "../executable/compile.ts";
import type { Platform } from "../executable/platforms.ts";
import { withFolder } from "../linux/folder.ts";
import { archiveEntries } from "./archive.ts";
import { type Compression, compress, tarOf } from "./layer.ts";
import { libc6, type Supply } from "./libc.ts";
import type { Reference } from "./name.ts";
import { imageIndex, platformImage } from "./oci.ts";
import type { Provenance } from "./provenance.ts";
import { type Entry, rootfs, writeRootfs } from "./rootfs.ts";
import { type Parts, sbom } from "./sbom.ts";

/** The sources of every image. */
export interface Sources {
  readonly origin: Provenance;
  readonly supply: Supply;
}

/**
 * Refuses a path that cannot be written to, before anything is built. Writes nothing itself.
 *
 * @param mustBeNew true if the path must not exist
 *
 * Throws an InputError if the nearest existing path above it is not a folder, or may not be written to.
 */
export async function refuseTarget(path: string, mustBeNew: boolean): Promise<void> {
  const present = await lstat(path).catch(() => undefined);
  if (present && mustBeNew) throw new InputError(`${path} already exists`);
  if (present?.isDirectory()) throw new InputError(`${path} is a folder`);
  const parent = dirname(path);
  let above = parent;
  while (!existsSync(above) && dirname(above) !== above) above = dirname(above);
  // With a trailing slash: if it is not a folder, the kernel says so.
  await access(`${above}/`, constants.W_OK | constants.X_OK).catch((error: unknown) => {
    throw new InputError(`cannot write to ${parent}: ${messageOf(error)}`);
  });
}

/** Calls `body` with a new folder beside `path`, from which it can rename to `path`, and removes it afterwards. */
async function beside<T>(path: string, body: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  return withFolder(dirname(path), body);
}

/** A platform's root filesystem, and what it is made from. */
interface Root extends Parts {
  readonly entries: readonly Entry[];
}

/**
 * Makes the root filesystem for each of `platforms`, compiling in the folder `work`. Throws an InputError if a part cannot
 * be fetched, before anything is compiled.
 */
async function rootsOf(platforms: readonly Platform[], supply: Supply, work: string): Promise<Root[]> {
  const parts: Omit<Parts, "executable">[] = [];
  for (const platform of platforms) {
    parts.push({ platform, libc: await libc6(platform, supply), runtime: await runtimeFor(platform) });
  }
  const roots: Root[] = [];
  for (const part of parts) {
    const path = join(work, "bin", part.platform.name);
    progress(`${part.platform.name}: compiling`);
    await compile(part.platform, path);
    const executable = await Bun.file(path).bytes();
    roots.push({ ...part, executable, entries: rootfs(executable, part.platform, part.libc) });
  }
  return roots;
}

/**
 * Writes the archive of `platforms` to `path` and the bills of materials beside it: all of them, or none, in which case
 * the old files stay.
 *
 * Returns the image index; each platform's image, and the size of all its files together, in bytes; and the paths of what
 * was written. Throws an InputError if a part of the image cannot be fetched or made, or the files cannot be written.
 */
export async function writeArchive(
  path: string,
  platforms: readonly Platform[],
  compression: Compression,
  reference: Reference,
  byDigest: boolean,
  { origin, supply }: Sources,
) {
  return beside(path, async (work) => {
    const roots = await rootsOf(platforms, supply, work);
    const shares = await Promise.all(
      roots.map(async (root) => {
        const { platform, entries } = root;
        const tar = await tarOf(entries, origin.time);
        progress(`${platform.name}: compressing ${tar.length} bytes with ${compression}`);
        const image = platformImage(platform, tar, await compress(tar, compression), compression, origin);
        const size = entries.reduce((sum, { body }) => sum + (body?.length ?? 0), 0);
        return { platform, image, size, sbom: sbom(root, image.manifest.descriptor.digest, origin) };
      }),
    );
    const images = shares.map(({ image }) => image);
    const index = imageIndex(images, origin);
    progress("writing");
    const outputs = [
      { to: path, bytes: await tarOf(archiveEntries(index, images, reference, byDigest), origin.time) },
      ...shares.map(({ platform, sbom }) => ({
        // publish.sh finds it by this name.
        to: `${path.replace(/(\.oci)?\.tar$/, "")}.${platform.name}.cdx.json`,
        bytes: sbom,
      })),
    ].map((output, number) => ({ ...output, from: join(work, String(number)) }));
    for (const { from, bytes } of outputs) {
      await writeFile(from, bytes, { flush: true }).catch((error: unknown) => {
        throw new InputError(`cannot write ${bytes.length} bytes to ${dirname(path)}: ${messageOf(error)}`);
      });
    }
    for (const { from, to } of outputs) await rename(from, to);
    return { index, shares, files: outputs.map(({ to }) => to) };
  });
}

/** Writes the root filesystem for `platform` as the new folder `path`. Throws an InputError if it cannot be written. */
export async function writeFolder(path: string, platform: Platform, { origin, supply }: Sources): Promise<void> {
  await beside(path, async (work) => {
    const folder = join(work, "rootfs");
    for (const { entries } of await rootsOf([platform], supply, work)) await writeRootfs(entries, folder, origin.time);
    await rename(folder, path);
  });
}
