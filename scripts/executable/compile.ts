/** Compiles src/ and Bun into the one executable. */
import { statSync } from "node:fs";
import { chmod, mkdir, readFile, rename, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { Glob } from "bun";
import { DIST, ROOT } from "../command/project.ts";
import { InputError, messageOf } from "../command/report.ts";
import { withFolder } from "../linux/folder.ts";
import { runtimeFor } from "./bun.ts";
import { forgetBuilder } from "./bundle.ts";
import { cut, freeRoom } from "./cut.ts";
import { addEntry } from "./entry.ts";
import { ffiPlugin } from "./ffi.ts";
import { hostPlatform, type Platform } from "./platforms.ts";
import { seal } from "./seal.ts";

/** The program that is compiled. */
const MAIN = join(ROOT, "src", "main.ts");

/**
 * The files that the executable depends on, relative to the project's folder. Separate patterns: Bun's Glob matches
 * nothing by braces with slashes.
 */
const INPUTS = ["src/*.ts", "scripts/executable/*.ts", "package{,-lock}.json"];

/** True if `path` is missing or older than any of `inputs`. */
export function isOlder(path: string, inputs: Iterable<string>): boolean {
  const built = statSync(path, { throwIfNoEntry: false });
  if (!built) return true;
  for (const input of inputs) if (statSync(input).mtimeMs > built.mtimeMs) return true;
  return false;
}

/** True if the executable at `path` is missing or older than anything it is made from. */
export function isStale(path: string): boolean {
  const found = INPUTS.flatMap((pattern) => [...new Glob(pattern).scanSync({ cwd: ROOT, absolute: true })]);
  return isOlder(path, found);
}

/** The reasons that Bun.build gives, in one line, with the places in the sources if it names any. */
function reasonsOf(error: unknown): string {
  // The reasons are one level down: the message at the top is "Bundle failed".
  const reasons: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return reasons
    .map((reason) => {
      const at = reason instanceof BuildMessage || reason instanceof ResolveMessage ? reason.position : null;
      return `${at ? `${relative(ROOT, at.file)}:${at.line}:${at.column}: ` : ""}${messageOf(reason)}`;
    })
    .join("; ");
}

/** Throws an InputError unless `folder` has room for `count` files as large as the Bun at `bun`. */
export async function refuseFullDisk(folder: string, bun: string, count: number): Promise<void> {
  const [{ size }, { blocks, bavail, bsize }] = await Promise.all([stat(bun), statfs(folder)]);
  const mb = (bytes: number) => `${Math.floor(bytes / 1e6)} MB`;
  // Some file systems report no size.
  if (blocks > 0 && bavail * bsize < count * size) {
    throw new InputError(
      `no space left in ${folder}: it needs ${mb(count * size)}, and ${mb(bavail * bsize)} are free`,
    );
  }
}

/**
 * Compiles the program `main` for `platform` into the file `outfile`, with Bun unchanged: not
 * yet sealed or cut.
 *
 * Throws an InputError if Bun cannot be fetched, the disk is full or the sources do not compile.
 */
export async function bundle(platform: Platform, outfile: string, main = MAIN): Promise<void> {
  const { path: executablePath } = await runtimeFor(platform);
  // At first the executable is as large as Bun.
  await refuseFullDisk(dirname(outfile), executablePath, 1);
  // Bun writes unfinished output to the working directory.
  const workingDirectory = process.cwd();
  process.chdir(dirname(outfile));
  await Bun.build({
    entrypoints: [main],
    target: "bun",
    plugins: [ffiPlugin()],
    minify: true,
    // A constant, so that code for the other architecture is left out.
    define: { "process.arch": JSON.stringify(platform.nodeArch) },
    // Bytecode is read in place; source would be parsed on every node at every start. It requires CommonJS.
    bytecode: true,
    format: "cjs",
    compile: {
      target: platform.compileTarget,
      executablePath,
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  })
    .catch((error: unknown) => {
      throw new InputError(`cannot compile ${relative(ROOT, dirname(main))}/: ${reasonsOf(error)}`);
    })
    .finally(() => process.chdir(workingDirectory));
}

/**
 * Writes the executable for `platform`, sealed and cut, to `path`, by way of a temporary folder beside it, so that
 * `path` is always the old file or the new one, whole and sealed.
 *
 * Throws an InputError if Bun cannot be fetched, sealed or cut, the sources do not compile or the folder cannot be
 * written to.
 */
export async function compile(platform: Platform, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await withFolder(dirname(path), async (folder) => {
    // The name goes into the executable, so it is always the same.
    const outfile = join(folder, "pause");
    await bundle(platform, outfile);
    const bytes = await readFile(outfile);
    forgetBuilder(bytes);
    const room = freeRoom(bytes);
    seal(bytes, platform, room);
    addEntry(bytes, platform, room);
    await writeFile(outfile, cut(bytes, room));
    await chmod(outfile, 0o755);
    await rename(outfile, path);
  });
}

/** Returns the path of the executable for this machine, dist/pause, which is compiled if need be. Throws as `compile` does. */
export async function built(): Promise<string> {
  const path = join(DIST, "pause");
  if (isStale(path)) await compile(hostPlatform(), path);
  return path;
}
