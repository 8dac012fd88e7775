/** Compiles the C programs beside it: the reference, which is the tests' oracle and the bench's yardstick, and the storm. */
import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, parse } from "node:path";
import { version } from "../../package.json";
import { DIST, ROOT } from "../command/project.ts";
import { isOlder } from "../executable/compile.ts";
import { makeFolder } from "../linux/folder.ts";

const SOURCES = join(ROOT, "scripts", "reference");

/** The version text of ours, so that output compares to the byte. */
const VERSION = `pause.ts ${version}`;
const DEFINE = `-DVERSION="${VERSION}"`;

/** The reason to skip tests that need the reference. */
export const NO_REFERENCE = "no C compiler (cc) to build the reference with";

let elsewhere: string | undefined;

/** The folder for programs: dist/, or for this process's time a folder of its own where the project cannot be written. */
function output(): string {
  try {
    accessSync(existsSync(DIST) ? DIST : ROOT, constants.W_OK);
    return DIST;
  } catch {
    elsewhere ??= makeFolder(tmpdir()).path;
    return elsewhere;
  }
}

/**
 * Compiles one of the C programs into the folder `variant`, unless that is done already, and returns its path. Undefined
 * without a compiler; throws what the compiler said if it fails.
 */
function compileC(variant: string, source: string, ...flags: readonly string[]): string | undefined {
  const cc = Bun.which("cc");
  if (!cc) return undefined;
  // The name shows in /proc/PID/comm: that of ours for a pause, so each is in a folder of its own.
  const made = [DIST, output()].map((folder) => join(folder, variant, parse(source).name));
  const inputs = [join(SOURCES, source), join(ROOT, "package.json"), import.meta.path];
  const fresh = made.find((path) => !isOlder(path, inputs));
  if (fresh) return fresh;
  const path = made.at(-1) ?? "";
  mkdirSync(dirname(path), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  const options = ["-O2", "-Wall", "-Wextra", "-Werror", ...flags, "-o", unfinished];
  try {
    const { exitCode, stderr } = Bun.spawnSync([cc, ...options, join(SOURCES, source)]);
    if (exitCode !== 0) throw new Error(`${source} does not compile: ${stderr}`);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return path;
}

/** Compiles the reference. Undefined without a C compiler; throws if it does not compile. */
export function compileReference(): string | undefined {
  return compileC("reference", "pause.c", DEFINE);
}

/** Compiles the reference without shared libraries, as it is in its image. Undefined without a compiler or a static libc. */
export function compileStatic(): string | undefined {
  try {
    return compileC("reference-static", "pause.c", DEFINE, "-static");
  } catch {
    return undefined; // The source is good, as compileReference shows: libc.a is missing.
  }
}

/** Compiles the orphan storm. Undefined without a compiler; throws if it does not compile. */
export function compileStorm(): string | undefined {
  return compileC("reference", "storm.c");
}
