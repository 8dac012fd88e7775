/** Compiles a program without a line of code: the floor of anything written in TypeScript. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DIST, ROOT } from "../command/project.ts";
import { bundle, isOlder } from "../executable/compile.ts";
import { hostPlatform } from "../executable/platforms.ts";
import { withFolder } from "../linux/folder.ts";

/** The path of the program, compiled by the pinned Bun with the settings of ours, and not sealed. It starts and ends, whatever its arguments. */
export async function floor(): Promise<string> {
  const path = join(DIST, "empty", "pause");
  if (
    !isOlder(path, [
      join(ROOT, "package-lock.json"),
      join(ROOT, "scripts", "executable", "compile.ts"),
      import.meta.path,
    ])
  )
    return path;
  mkdirSync(join(DIST, "empty"), { recursive: true });
  await withFolder(DIST, async (folder) => {
    const source = join(folder, "main.ts");
    writeFileSync(source, "");
    await bundle(hostPlatform(), join(folder, "pause"), [source]);
    renameSync(join(folder, "pause"), path);
  });
  return path;
}
