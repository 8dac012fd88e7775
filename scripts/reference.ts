/** Compiles what is in test/reference/: the C reference, which is the tests' oracle and the bench's yardstick, and its company. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../package.json";

const SOURCES = join(import.meta.dir, "..", "test", "reference");

/** The version text of ours, so that output compares to the byte. */
const VERSION = `pause.ts ${version}`;

/** The reference executable, or undefined on a machine without a C compiler. */
export const REFERENCE: string | undefined = compileC("pause.c", `-DVERSION="${VERSION}"`);

/** Why the tests that need the reference are skipped here. */
export const NO_REFERENCE = "no C compiler (cc) to build the reference with";

/** The path for a compiled program, in a folder of its own: the base name, like ours, shows in /proc/PID/comm. It goes when this process ends. */
function place(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "pause-reference-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755); // Some cases run as another user.
  return join(folder, name);
}

/** Runs a compiler. Throws with what it said if it fails. */
function compiled(path: string, command: readonly string[]): string {
  const { exitCode, stderr } = Bun.spawnSync([...command]);
  if (exitCode !== 0) throw new Error(`${command.at(-1)} does not compile: ${stderr}`);
  return path;
}

/** Compiles one of the C programs, named as its source is. Undefined without a compiler; throws if it does not compile. */
function compileC(source: string, ...flags: readonly string[]): string | undefined {
  const cc = Bun.which("cc");
  if (!cc) return undefined;
  const path = place(source.replace(/\.c$/, ""));
  return compiled(path, [cc, "-O2", "-Wall", "-Wextra", "-Werror", ...flags, "-o", path, join(SOURCES, source)]);
}

/** Compiles the reference without shared libraries, as it is in its image. Undefined without a compiler or a static libc. */
export function compileStatic(): string | undefined {
  try {
    return compileC("pause.c", `-DVERSION="${VERSION}"`, "-static");
  } catch {
    return undefined; // The source is good, for REFERENCE compiled: libc.a is missing.
  }
}

/** Compiles the orphan storm. Undefined without a compiler; throws if it does not compile. */
export function compileStorm(): string | undefined {
  return compileC("storm.c");
}

/** Compiles the pause in Go, without symbols. Undefined without a Go compiler; throws if it does not compile. */
export function compileGo(): string | undefined {
  const go = Bun.which("go");
  if (!go) return undefined;
  const path = place("pause");
  const flags = `-s -w -X "main.version=${VERSION}"`;
  return compiled(path, [go, "build", "-ldflags", flags, "-o", path, join(SOURCES, "pause.go")]);
}
