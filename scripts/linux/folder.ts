/**
 * Temporary folders, named after the process that made them: the next process removes those of one that was ended by a
 * signal.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * Before PID and number: the PID namespace, for PIDs of another one mean nothing here. Short, for paths of sockets end
 * at 107 bytes: unix(7).
 */
const PREFIX = `.pause-ts-${statSync("/proc/self/ns/pid").ino.toString(36)}-`;

/** A folder's name, with the PID. */
const NAME = new RegExp(`^\\${PREFIX}(\\d+)-\\d+$`);

/** The folders of this process. */
const made = new Set<string>();
let count = 0;
process.on("exit", () => {
  for (const path of made) rmSync(path, { recursive: true, force: true });
});

/** Removes what earlier processes have left in the folder `parent`. What cannot be removed stays. */
export function removeLeft(parent: string): void {
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const [, pid] = NAME.exec(name) ?? [];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const path = join(parent, name);
    try {
      // In a folder for all users, another user may have given it that name.
      if (lstatSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
    } catch {
      // Another process is removing the same, or something is mounted in it.
    }
  }
}

/** A folder that belongs to this process until it is removed, at the latest when the process ends by itself. */
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
  const path = join(parent, `${PREFIX}${process.pid}-${count++}`);
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
