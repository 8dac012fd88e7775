/** Runs the project's scripts, in place or in a copy of the project, for the tests. */
import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { type Ran, run } from "../../scripts/command/run.ts";
import { temporary } from "./temporary.ts";

/**
 * Runs `script` of the project in `root` with Bun in a pipe, as `npm run` does, with these environment variables besides.
 *
 * @param wrapper a command that the one to run is appended to
 */
export function runScript(
  script: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  root = ROOT,
  wrapper: readonly string[] = [],
): Promise<Ran> {
  return run([...wrapper, process.execPath, join(root, "scripts", script), ...args], { cwd: root, env });
}

/** Runs `code`, a module, in the folder of a project: see `runScript`. */
export function evaluate(code: string, root: string, env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return run([process.execPath, "--eval", code], { cwd: root, env });
}

/** Runs `scripts/image.ts`: see `runScript`. */
export function image(
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
  root?: string,
  wrapper?: readonly string[],
): Promise<Ran> {
  return runScript("image.ts", args, env, root, wrapper);
}

/**
 * Copies the image's sources to the new folder `path`, with the packages that are installed here, and with or without
 * the downloads that are kept.
 */
export async function copyProject(path: string, { downloads }: { readonly downloads: boolean }): Promise<void> {
  await mkdir(path, { recursive: true });
  const sources = ["src", "scripts", "package.json", "package-lock.json", "tsconfig.json", "bunfig.toml"];
  for (const name of sources) await cp(join(ROOT, name), join(path, name), { recursive: true });
  await mkdir(join(path, "node_modules"));
  for (const name of await readdir(join(ROOT, "node_modules"))) {
    if (downloads || name !== ".cache")
      await symlink(join(ROOT, "node_modules", name), join(path, "node_modules", name));
  }
}

/** The folder of a Debian mirror that holds libc6. */
export const POOL = join("pool", "main", "g", "glibc");

/**
 * A copy of the project that has nothing downloaded, the folder for what it keeps, one for its output and an empty
 * Debian mirror.
 */
export async function freshProject(): Promise<{ root: string; cache: string; where: string; mirror: string }> {
  const base = temporary("project");
  const [root, where, mirror] = [join(base, "project"), join(base, "out"), join(base, "debian")];
  await copyProject(root, { downloads: false });
  await mkdir(where);
  await mkdir(join(mirror, POOL), { recursive: true });
  return { root, cache: join(root, "node_modules", ".cache", "pause-ts"), where, mirror };
}
