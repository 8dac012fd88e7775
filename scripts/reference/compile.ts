/** Compiles what lies beside it: the C reference, which is the tests' oracle and the bench's yardstick, and its company. */
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

/** Why the tests that need the reference are skipped here. */
export const NO_REFERENCE = "no C compiler (cc) to build the reference with";

let elsewhere: string | undefined;

/** Where programs are put: dist/, or for this process's time a folder of its own where the project cannot be written. */
function output(): string {
  try {
    accessSync(existsSync(DIST) ? DIST : ROOT, constants.W_OK);
    return DIST;
  } catch {
    elsewhere ??= makeFolder(tmpdir()).path;
    return elsewhere;
  }
}

/** Runs `command`, to which paths for its output and of `source` are appended, unless that is done already, and returns the path of what it made. Throws with what it said if it fails. */
function compiled(variant: string, source: string, command: readonly string[]): string {
  // The name shows in /proc/PID/comm: that of ours for a pause, so each is in a folder of its own.
  const made = [DIST, output()].map((folder) => join(folder, variant, parse(source).name));
  const inputs = [join(SOURCES, source), join(ROOT, "package.json"), import.meta.path];
  const fresh = made.find((path) => !isOlder(path, inputs));
  if (fresh) return fresh;
  const path = made.at(-1) ?? "";
  mkdirSync(dirname(path), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  try {
    const { exitCode, stderr } = Bun.spawnSync([...command, unfinished, join(SOURCES, source)]);
    if (exitCode !== 0) throw new Error(`${source} does not compile: ${stderr}`);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return path;
}

/** Compiles one of the C programs, named as its source is, into the folder `variant`. Undefined without a compiler; throws if it does not compile. */
function compileC(variant: string, source: string, ...flags: readonly string[]): string | undefined {
  const cc = Bun.which("cc");
  return cc ? compiled(variant, source, [cc, "-O2", "-Wall", "-Wextra", "-Werror", ...flags, "-o"]) : undefined;
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

/** Compiles the pause in Go, without symbols. Undefined without a Go compiler; throws if it does not compile. */
export function compileGo(): string | undefined {
  const go = Bun.which("go");
  if (!go) return undefined;
  const flags = `-s -w -X "main.version=${VERSION}"`;
  return compiled("reference-go", "pause.go", [go, "build", "-ldflags", flags, "-o"]);
}
