/** The programs that the bench puts side by side. */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../executable/compile.ts";
import { hostPlatform } from "../executable/platforms.ts";
import { withFolder } from "../linux/folder.ts";
import { NO_SIGNALS, THREE_HANDLERS, TWO_HANDLERS } from "../linux/proc.ts";
import { compileReference, compileStatic } from "../reference/compile.ts";

/** Lines of /proc/PID/status that, all there at once, say that a program is ready; or `ended` for one that ends by itself. */
export type Readiness = readonly string[] | "ended";

/** Ours, as `showsReady` of linux/proc.ts has it, with nothing blocked at all. */
export const OURS_READY: readonly string[] = [`SigBlk:\t${NO_SIGNALS}`, `SigCgt:\t${TWO_HANDLERS}`, "State:\tS"];

/** The same of C. */
export const C_READY: readonly string[] = [`SigBlk:\t${NO_SIGNALS}`, `SigCgt:\t${THREE_HANDLERS}`, "State:\tS"];

/** catatonit -P blocks all that can be blocked and waits on a signalfd(2); its first sleep is that wait. */
const CATATONIT_READY: Readiness = ["SigBlk:\tfffffffe3ffbfa07", "State:\tS"];

/** A program of the bench. */
export interface Program {
  /** Heading of its column. */
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly ready: Readiness;
  /** True if it can be started with `-v` and then ends. */
  readonly version: boolean;
}

/**
 * Headings of three columns: ours, the floor of anything written in TypeScript, and what upstream's image holds, which
 * ratios are to.
 */
export const [OURS, FLOOR, YARDSTICK] = ["pause-ts", "empty Bun program", "C, static"] as const;

/**
 * Bytes that a container engine writes at a time when it unpacks a layer: seen of containerd 1.6.20 and podman 4.3.1. The
 * kernel caches a file in as small pieces, and maps as few pages at a fault.
 */
export const PIECE = 32 * 1024;

/** Does `task` with copies of `programs` that are written `piece` bytes at a time, and removes them. */
export function withCopies<T>(
  programs: readonly Program[],
  piece: number,
  task: (copies: readonly Program[]) => Promise<T>,
): Promise<T> {
  return withFolder(tmpdir(), (folder) => {
    const copies = programs.map((program, index) => {
      mkdirSync(join(folder, `${index}`));
      const path = join(folder, `${index}`, "pause");
      const bytes = readFileSync(program.path);
      const file = openSync(path, "w", 0o755);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, Math.min(piece, bytes.length - at));
      closeSync(file);
      return { ...program, path };
    });
    return task(copies);
  });
}

/**
 * Does `task` with ours, whose path is given, and a program without a line of code, which the pinned Bun compiles with the
 * settings of ours. They are copies just written, each by one write(2): the kernel caches them in large pieces, and can map
 * many pages at each fault.
 */
export function withPair<T>(ours: string, task: (pair: readonly Program[]) => Promise<T>): Promise<T> {
  return withFolder(tmpdir(), async (folder) => {
    const [source, path] = [join(folder, "main.ts"), join(folder, "pause")];
    writeFileSync(source, "");
    await bundle(hostPlatform(), path, source);
    const pair: Program[] = [
      { name: OURS, path: ours, args: [], ready: OURS_READY, version: true },
      { name: FLOOR, path, args: [], ready: "ended", version: true },
    ];
    return withCopies(pair, Number.POSITIVE_INFINITY, task);
  });
}

/** The other programs that this machine has, and a note for each that it lacks. */
export function competitors(): { present: Program[]; notes: string[] } {
  const pause = { args: [], ready: C_READY, version: true };
  const infra = { args: ["-P"], ready: CATATONIT_READY, version: false };
  const all = [
    { ...pause, name: YARDSTICK, path: compileStatic(), missing: "no C compiler (cc) or no static libc (libc.a)" },
    { ...pause, name: "C, dynamic", path: compileReference(), missing: "no C compiler (cc)" },
    { ...infra, name: "catatonit -P", path: Bun.which("catatonit"), missing: "catatonit is not installed" },
  ];
  return {
    present: all.flatMap(({ path, missing: _, ...program }) => (path ? [{ ...program, path }] : [])),
    notes: all.flatMap(({ name, path, missing }) => (path ? [] : [`${name} is left out: ${missing}.`])),
  };
}
