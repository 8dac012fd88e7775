/** Compiles src/ and Bun into the one executable. */
import { statSync } from "node:fs";
import { chmod, mkdir, readFile, rename, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { Glob } from "bun";
import { withFolder } from "../command/folder.ts";
import { ROOT } from "../command/project.ts";
import { InputError, messageOf } from "../command/report.ts";
import { apartPlugin, ENTRIES } from "./apart.ts";
import { bunFor } from "./bun.ts";
import { cut } from "./cut.ts";
import { ffiPlugin } from "./ffi.ts";
import type { Platform } from "./platforms.ts";
import { seal } from "./seal.ts";

/** What the executable depends on, relative to the project's folder. Patterns of their own: Bun's Glob finds nothing by braces with slashes. */
const INPUTS = ["src/*.ts", "scripts/executable/*.ts", "package{,-lock}.json"];

/** Whether `path` is missing or older than any of `inputs`. */
export function isOlder(path: string, inputs: Iterable<string>): boolean {
  const built = statSync(path, { throwIfNoEntry: false });
  if (!built) return true;
  for (const input of inputs) if (statSync(input).mtimeMs > built.mtimeMs) return true;
  return false;
}

/** Whether the executable at `path` is missing or older than anything it is made from. */
export function isStale(path: string): boolean {
  return INPUTS.some((pattern) => {
    const inputs = [...new Glob(pattern).scanSync({ cwd: ROOT, absolute: true })];
    if (inputs.length === 0) throw new Error(`unreachable: no file is called ${pattern}`);
    return isOlder(path, inputs);
  });
}

/** What Bun.build says is wrong, in one line, with the places in the sources where it names them. */
function reasonsOf(error: unknown): string {
  // What was wrong is one level down: the message above it is "Bundle failed".
  const reasons: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return reasons
    .map((reason) => {
      const at = reason instanceof BuildMessage || reason instanceof ResolveMessage ? reason.position : null;
      return `${at ? `${relative(ROOT, at.file)}:${at.line}:${at.column}: ` : ""}${messageOf(reason)}`;
    })
    .join("; ");
}

/** Throws an InputError unless there is room for the executable in `folder`, which is at first as large as Bun, at `bun`. */
async function refuseFullDisk(folder: string, bun: string): Promise<void> {
  const [{ size }, { blocks, bavail, bsize }] = await Promise.all([stat(bun), statfs(folder)]);
  const mb = (bytes: number) => `${Math.floor(bytes / 1e6)} MB`;
  // Some file systems do not count.
  if (blocks > 0 && bavail * bsize < size) {
    throw new InputError(`no space left in ${folder}: it takes ${mb(size)}, and ${mb(bavail * bsize)} are free`);
  }
}

/**
 * Compiles `entries`, of which the first is what runs, for `platform` into the file `outfile`, with Bun as it is: not sealed and not cut yet.
 *
 * Throws an InputError if Bun cannot be had, the disk is full or the sources do not compile.
 */
export async function bundle(platform: Platform, outfile: string, entries = ENTRIES): Promise<void> {
  const executablePath = await bunFor(platform);
  await refuseFullDisk(dirname(outfile), executablePath);
  // Bun writes what is not finished to the working directory.
  const workingDirectory = process.cwd();
  process.chdir(dirname(outfile));
  await Bun.build({
    entrypoints: [...entries],
    target: "bun",
    plugins: [ffiPlugin(), apartPlugin()],
    minify: true,
    // A constant, so that what is for the other machine is left out.
    define: { "process.arch": JSON.stringify(platform.nodeArch) },
    // Bytecode is read in place; source would be parsed on every node at every start. It asks for CommonJS.
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
      throw new InputError(`cannot compile ${relative(ROOT, dirname(entries[0] ?? ROOT))}/: ${reasonsOf(error)}`);
    })
    .finally(() => process.chdir(workingDirectory));
}

/**
 * Writes the executable for `platform`, sealed and cut, to `path`, by way of a temporary folder beside it, so that `path` is
 * the old file or the new one and never half of either, and never unsealed.
 *
 * Throws an InputError if Bun cannot be had, sealed or cut, the sources do not compile or the folder cannot be
 * written.
 */
export async function compile(platform: Platform, path: string, entries = ENTRIES): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await withFolder(dirname(path), async (folder) => {
    // The name goes into the executable: always the same one.
    const outfile = join(folder, "pause");
    await bundle(platform, outfile, entries);
    const bytes = await readFile(outfile);
    seal(bytes, platform);
    await writeFile(outfile, cut(bytes));
    await chmod(outfile, 0o755);
    await rename(outfile, path);
  });
}
