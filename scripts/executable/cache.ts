/** Downloads: kept between builds, and checked whenever they are used. */
import { mkdir, rename, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { ROOT } from "../command/project.ts";
import { InputError, notice } from "../command/report.ts";
import { withFolder } from "../linux/folder.ts";

/** Where they are kept; `npm ci` clears it. */
export const CACHE = join(ROOT, "node_modules", ".cache", "pause-ts");

/** SHA-256 of the file at `path`, in hexadecimal. */
export async function sha256Of(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hash.update(chunk);
  return hash.digest("hex");
}

/** Runs `task` with a new folder in the cache, and removes the folder afterwards. */
export async function inCache<T>(task: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(CACHE, { recursive: true });
  return withFolder(CACHE, task);
}

/**
 * The path of the kept file called `name`, which is fetched if it is missing or its content has changed.
 *
 * @param sha256 its digest, in hexadecimal
 * @param fetch puts the file into the folder that it is given, and returns its path
 *
 * Throws an InputError if what was fetched has another digest, and what `fetch` throws.
 */
export async function kept(name: string, sha256: string, fetch: (folder: string) => Promise<string>): Promise<string> {
  const path = join(CACHE, name);
  if (await Bun.file(path).exists()) {
    const digest = await sha256Of(path);
    if (digest === sha256) return path;
    notice(`${relative(process.cwd(), path)} has SHA-256 ${digest}, not ${sha256}: it is fetched anew`);
    await rm(path);
  }
  await inCache(async (folder) => {
    const fetched = await fetch(folder);
    const digest = await sha256Of(fetched);
    if (digest !== sha256) throw new InputError(`${name}: SHA-256 is ${digest}, the project pins ${sha256}`);
    await rename(fetched, path);
  });
  return path;
}
