/** Downloads, and results that take minutes to make, kept for later runs. */
import { exists, mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { withFolder } from "../linux/folder.ts";
import { ROOT } from "./project.ts";
import { InputError, notice } from "./report.ts";

/** The folder of a build's downloads; `npm ci` clears it. */
export const CACHE = join(ROOT, "node_modules", ".cache", "pause-ts");

/** The folder of all else, outside the clone. */
export const KEPT = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "pause-ts");

/** SHA-256 of the file at `path`, in hexadecimal. */
export async function sha256Of(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hash.update(chunk);
  return hash.digest("hex");
}

/**
 * Returns `path`, whose name includes its version. If it is missing, or its content has changed, `make` makes it in the
 * folder that it is given, and returns its path there.
 *
 * @param sha256 the digest of a file, in hexadecimal, which is checked whenever it is used
 *
 * Throws an InputError if what was made has another digest, and what `make` throws.
 */
export async function kept(path: string, make: (folder: string) => Promise<string>, sha256?: string): Promise<string> {
  const digestOf = async (it: string) => sha256 && (await sha256Of(it));
  if (await exists(path)) {
    const digest = await digestOf(path);
    if (digest === sha256) return path;
    notice(`${relative(process.cwd(), path)} has SHA-256 ${digest}, not ${sha256}: it is fetched anew`);
    await rm(path);
  }
  await mkdir(dirname(path), { recursive: true });
  await withFolder(dirname(path), async (folder) => {
    const made = await make(folder);
    const digest = await digestOf(made);
    if (digest !== sha256) throw new InputError(`${basename(path)}: SHA-256 is ${digest}, the project pins ${sha256}`);
    // Another run may have been quicker: its result is as good.
    await rename(made, path).catch(async (error: unknown) => {
      if (!(await exists(path))) throw error;
    });
  });
  return path;
}
