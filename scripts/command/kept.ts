/** Results that take minutes to make, kept for later runs outside the clone. */
import { exists, mkdir, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { withFolder } from "../linux/folder.ts";

/** The folder of all of them. */
export const KEPT = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "pause-ts");

/**
 * The path of the result kept under `name`, which includes its version. If it is missing, `make` makes it at a temporary
 * path, so that no other run finds it half made.
 */
export async function kept(name: string, make: (path: string) => Promise<void>): Promise<string> {
  const path = join(KEPT, name);
  if (await exists(path)) return path;
  await mkdir(KEPT, { recursive: true });
  await withFolder(KEPT, async (work) => {
    await make(join(work, name));
    // Another run may have been quicker: its result is as good.
    await rename(join(work, name), path).catch(async (error: unknown) => {
      if (!(await exists(path))) throw error;
    });
  });
  return path;
}
