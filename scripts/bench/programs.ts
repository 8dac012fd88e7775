/** The programs that the bench puts side by side. */
import { closeSync, mkdtempSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withFolder } from "../linux/folder.ts";
import { NO_SIGNALS, THREE_HANDLERS } from "../linux/proc.ts";
import { compileGo, compileReference, compileStatic } from "../reference/compile.ts";

/** Lines of /proc/PID/status that, all there at once, say that a program is ready; or `ended` for one that ends by itself. */
export type Readiness = readonly string[] | "ended";

/** Ours and C: as `showsReady` of linux/proc.ts has it, with nothing blocked at all. */
export const PAUSE_READY: readonly string[] = [`SigBlk:\t${NO_SIGNALS}`, `SigCgt:\t${THREE_HANDLERS}`, "State:\tS"];

/** catatonit -P blocks all that can be blocked and waits on a signalfd(2); its first sleep is that wait. */
const CATATONIT_READY: Readiness = ["SigBlk:\tfffffffe3ffbfa07", "State:\tS"];

/** A program of the bench. */
export interface Program {
  /** Heading of its column. */
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
  /** How to see that it is ready, where that can be seen at all. One that is `ended` is never at rest. */
  readonly ready?: Readiness;
  /** Whether it can be started with `-v` and then ends. */
  readonly version: boolean;
}

/** Ours, and a program without a line of code, compiled by the same Bun: the floor of anything written in TypeScript. */
export interface Pair {
  readonly ours: Program;
  readonly floor: Program;
}

/**
 * Does `task` with the executables `ours` and `floor`, as copies just written, each by one write(2): the kernel caches
 * them in large pieces, and can map many pages at each fault. The copies are removed in the end.
 */
export function withPair<T>(ours: string, floor: string, task: (pair: Pair) => Promise<T>): Promise<T> {
  return withFolder(tmpdir(), (folder) => {
    const copy = (path: string): string => {
      const fresh = join(mkdtempSync(join(folder, "copy-")), "pause");
      writeFileSync(fresh, readFileSync(path), { mode: 0o755 });
      return fresh;
    };
    return task({
      ours: { name: "pause-ts", path: copy(ours), args: [], ready: PAUSE_READY, version: true },
      floor: { name: "empty Bun program", path: copy(floor), args: [], ready: "ended", version: true },
    });
  });
}

/** Bytes that a container engine writes at a time when it unpacks a layer: seen of containerd 1.6.20 and podman 4.3.1. */
const PIECE = 32 * 1024;

/**
 * Does `task` with copies of `programs` that are written as a container engine unpacks them: the kernel caches them in as
 * small pieces, and maps as few pages at a fault. The copies are removed in the end.
 */
export function withUnpacked<P extends Program, T>(
  programs: readonly P[],
  task: (unpacked: readonly P[]) => Promise<T>,
): Promise<T> {
  return withFolder(tmpdir(), (folder) => {
    const unpacked = programs.map((program, index) => {
      const path = join(folder, `${index}`);
      const bytes = readFileSync(program.path);
      const file = openSync(path, "w", 0o755);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, Math.min(PIECE, bytes.length - at));
      closeSync(file);
      return { ...program, path };
    });
    return task(unpacked);
  });
}

/** Heading of the column that ratios are to: what upstream's image holds. */
export const YARDSTICK = "C, static";

/** What else this machine has, and a note for each that it has not. Throws if the Go program does not compile. */
export function company(): { present: Program[]; notes: string[] } {
  const present: Program[] = [];
  const notes: string[] = [];
  const add = (path: string | null | undefined, program: Omit<Program, "path">, missing: string) => {
    if (path) present.push({ ...program, path });
    else notes.push(`${program.name} is left out: ${missing}.`);
  };
  add(
    compileStatic(),
    { name: YARDSTICK, args: [], ready: PAUSE_READY, version: true },
    "no C compiler (cc) or no libc to link statically (libc.a)",
  );
  add(compileReference(), { name: "C, dynamic", args: [], ready: PAUSE_READY, version: true }, "no C compiler (cc)");
  add(
    Bun.which("catatonit"),
    { name: "catatonit -P", args: ["-P"], ready: CATATONIT_READY, version: false },
    "catatonit is not installed",
  );
  // Go's runtime catches every signal and parks its threads long before main runs: nothing shows when it is ready.
  add(compileGo(), { name: "Go", args: [], version: true }, "no Go compiler (go)");
  return { present, notes };
}
