/** Temporary folders, named after the process that made them: the next process removes those of one that was killed. */
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "./interrupt.ts";
import { processAt } from "./proc.ts";

/** `.pause-ts-`, PID namespace, PID, time of the start, and a number. Short, for paths of sockets end at 107 bytes: unix(7). */
const NAME = /^\.pause-ts-(\w+-(\w+)-\w+)-\d+$/;

/** The PID namespace of this process: PIDs of another one mean nothing here. */
const namespace = statSync("/proc/self/ns/pid").ino;

/** The identity of the process `pid` in a folder's name; undefined if it is gone. */
function identityOf(pid: number | string): string | undefined {
  const found = processAt(pid);
  return found && [namespace, found.pid, Number(found.started)].map((number) => number.toString(36)).join("-");
}

let count = 0;

/** The folders of this process. */
const made = new Set<string>();

function removeAll(): void {
  for (const path of made) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // The others are to be removed all the same; the next process tries again.
    }
  }
}

/** Removes what earlier processes have left in the folder `parent`. What cannot be removed stays. */
export function removeLeft(parent: string): void {
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const [, identity, pid = ""] = NAME.exec(name) ?? [];
    if (!identity?.startsWith(`${namespace.toString(36)}-`)) continue;
    if (identityOf(Number.parseInt(pid, 36)) === identity) continue;
    const path = join(parent, name);
    try {
      // In a folder for all users, another user may have given it that name.
      if (lstatSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
    } catch {
      // Another process is removing the same, or something is mounted in it.
    }
  }
}

/** A folder that belongs to this process until it is removed, at the latest when the process ends. */
export interface Folder extends Disposable {
  readonly path: string;
  remove(): void;
}

/**
 * Makes a folder in `parent`, which must exist, after removing what earlier processes left there. Other users may look
 * into it. Throws the system's error if it cannot be made.
 */
export function makeFolder(parent: string): Folder {
  removeLeft(parent);
  atExit(removeAll);
  const path = join(parent, `.pause-ts-${identityOf("self")}-${count++}`);
  mkdirSync(path);
  made.add(path);
  chmodSync(path, 0o755);
  const remove = () => {
    rmSync(path, { recursive: true, force: true });
    made.delete(path);
  };
  return { path, remove, [Symbol.dispose]: remove };
}

/** Runs `task` with the path of a new folder in `parent`, and removes the folder afterwards. See makeFolder. */
export async function withFolder<T>(parent: string, task: (path: string) => T | Promise<T>): Promise<T> {
  using folder = makeFolder(parent);
  return await task(folder.path);
}
