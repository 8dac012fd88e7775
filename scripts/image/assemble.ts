/** Assembles the image: from the sources to an archive, or to a folder with the root filesystem. */
import { constants, existsSync } from "node:fs";
import { access, lstat, mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError, messageOf, progress } from "../command/report.ts";
import { type Runtime, runtimeFor } from "../executable/bun.ts";
import { compile } from "../executable/compile.ts";
import type { Platform } from "../executable/platforms.ts";
import { withFolder } from "../linux/folder.ts";
import { archiveEntries } from "./archive.ts";
import type { DebianPackage } from "./debian.ts";
import { type Compression, compress, tarOf } from "./layer.ts";
import { libc6, type Supply } from "./libc.ts";
import type { Reference } from "./name.ts";
import { type Blob, imageIndex, type PlatformImage, platformImage } from "./oci.ts";
import type { Provenance } from "./provenance.ts";
import { type Entry, rootfs, writeRootfs } from "./rootfs.ts";
import { sbom } from "./sbom.ts";

/** The sources of every image. */
export interface Sources {
  readonly origin: Provenance;
  readonly supply: Supply;
}

/** One platform's share of an archive. */
export interface Share {
  readonly platform: Platform;
  readonly image: PlatformImage;
  /** The bill of materials. */
  readonly sbom: Uint8Array;
  /** All files of the image together, in bytes. */
  readonly size: number;
}

/** A written archive. */
export interface Archive {
  readonly index: Blob;
  readonly shares: readonly Share[];
  /** Paths of the archive and of the bills of materials. */
  readonly files: readonly string[];
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

/** The ingredients of a platform's image besides the sources. */
interface Ingredients {
  readonly platform: Platform;
  readonly runtime: Runtime;
  readonly libc: DebianPackage;
}

/** Gets the ingredients for each of `platforms`. Throws an InputError if one cannot be fetched. */
async function gather(platforms: readonly Platform[], supply: Supply): Promise<Ingredients[]> {
  const gathered: Ingredients[] = [];
  for (const platform of platforms) {
    gathered.push({ platform, libc: await libc6(platform, supply), runtime: await runtimeFor(platform) });
  }
  return gathered;
}

/** Compiles in the folder `work` and assembles the root filesystem. */
async function assemble({ platform, libc }: Ingredients, work: string): Promise<Entry[]> {
  const executable = join(work, "bin", platform.name);
  progress(`${platform.name}: compiling`);
  await compile(platform, executable);
  return rootfs(await Bun.file(executable).bytes(), platform, libc);
}

/** Makes one platform's image and its bill of materials. */
async function share(
  ingredients: Ingredients,
  entries: readonly Entry[],
  compression: Compression,
  origin: Provenance,
): Promise<Share> {
  const { platform } = ingredients;
  const tar = await tarOf(entries, origin.time);
  progress(`${platform.name}: compressing ${tar.length} bytes with ${compression}`);
  const image = platformImage(platform, tar, await compress(tar, compression), compression, origin);
  const executable = entries.find(({ path }) => path === "pause")?.body ?? new Uint8Array();
  return {
    platform,
    image,
    sbom: sbom({ ...ingredients, executable }, image.manifest.descriptor.digest, origin),
    size: entries.reduce((sum, { body }) => sum + (body?.length ?? 0), 0),
  };
}

/** Writes a file and syncs it to disk. Throws an InputError if that fails. */
async function writeThrough(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, bytes, { flush: true }).catch((error: unknown) => {
    throw new InputError(`cannot write ${bytes.length} bytes to ${dirname(dirname(path))}: ${messageOf(error)}`);
  });
}

/**
 * Writes the archive of `platforms` to `path` and the bills of materials beside it: all of them, or none, in which case
 * the old files stay.
 *
 * Throws an InputError if a part of the image cannot be fetched or made, or the files cannot be written.
 */
export async function writeArchive(
  path: string,
  platforms: readonly Platform[],
  compression: Compression,
  reference: Reference,
  byDigest: boolean,
  sources: Sources,
): Promise<Archive> {
  const { origin, supply } = sources;
  return beside(path, async (work) => {
    const roots: [Ingredients, Entry[]][] = [];
    for (const ingredients of await gather(platforms, supply)) {
      roots.push([ingredients, await assemble(ingredients, work)]);
    }
    const shares = await Promise.all(roots.map((root) => share(...root, compression, origin)));
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
    for (const { from, bytes } of outputs) await writeThrough(from, bytes);
    for (const { from, to } of outputs) await rename(from, to);
    return { index, shares, files: outputs.map(({ to }) => to) };
  });
}

/** Writes the root filesystem for `platform` as the new folder `path`. Throws an InputError if it cannot be written. */
export async function writeFolder(path: string, platform: Platform, sources: Sources): Promise<void> {
  await beside(path, async (work) => {
    for (const ingredients of await gather([platform], sources.supply)) {
      await writeRootfs(await assemble(ingredients, work), join(work, "rootfs"), sources.origin.time);
    }
    await rename(join(work, "rootfs"), path);
  });
}
