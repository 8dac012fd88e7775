/** Keeps what takes minutes to make outside the clone, for the runs to come. */
import { exists, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** The folder of everything that is kept. */
export const KEPT = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "pause-ts");

/**
 * The path of what is kept under `name`, which says what was asked for, with its version: made by `make` at a path of
 * its own if it is not there, so that a half-made one is never found.
 */
export async function kept(name: string, make: (path: string) => Promise<void>): Promise<string> {
  const path = join(KEPT, name);
  if (await exists(path)) return path;
  await mkdir(KEPT, { recursive: true });
  const work = await mkdtemp(join(KEPT, `${name}.part-`));
  try {
    await make(join(work, name));
    // Another run may have been quicker: what it made is as good.
    await rename(join(work, name), path).catch(async (error: unknown) => {
      if (!(await exists(path))) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return path;
}
