/** Temporary folders, named after the process that made them: the next process removes those of one that was killed. */
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "./interrupt.ts";
import { processAt } from "./proc.ts";

/** `.pause-ts-`, the PID namespace, the PID, the time of its start, and six characters, as mkdtemp(3) makes them. */
const NAME = /^\.pause-ts-(\d+)-(\d+)-(\d+)-[A-Za-z0-9]{6}$/;

/** The PID namespace of this process: PIDs of another one mean nothing here. */
const namespace = String(statSync("/proc/self/ns/pid").ino);

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
  try {
    for (const name of readdirSync(parent)) {
      const [, space, pid = "", started] = NAME.exec(name) ?? [];
      if (space !== namespace || processAt(pid)?.started === started) continue;
      const path = join(parent, name);
      // In a folder for all users, another user may have given it that name.
      if (lstatSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
    }
  } catch {
    // It cannot be listed, or another process is removing the same.
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
  const self = processAt("self");
  atExit(removeAll);
  const path = mkdtempSync(join(parent, `.pause-ts-${namespace}-${self?.pid}-${self?.started}-`));
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
