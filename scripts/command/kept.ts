/** Keeps what takes minutes to make for later runs, outside the clone. */
import { exists, mkdir, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { withFolder } from "../linux/folder.ts";

/** The folder of everything that is kept. */
export const KEPT = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "pause-ts");

/**
 * The path of what is kept under `name`, which says what it is and in which version. If it is missing, `make` makes it
 * at a temporary path, so that nobody ever finds it half made.
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
