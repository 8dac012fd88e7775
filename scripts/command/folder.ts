/** Folders for unfinished work. The next process removes whatever an earlier one left behind, however it ended. */
import { dlopen } from "bun:ffi";
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { endDescendants, onInterrupt } from "../linux/interrupt.ts";

/** The folders' names: this and six characters, as mkdtemp(3) makes them. */
const PREFIX = ".pause-ts-";
const NAME = /^\.pause-ts-[A-Za-z0-9]{6}$/;

/** flock(2), linux/fcntl.h: the lock ends with the process, however that ends. */
const [LOCK_EX, LOCK_NB] = [2, 4];

/** Without it no folder counts as left behind. musl has it too, and takes this library name for its own. */
const flock = (() => {
  try {
    return dlopen("libc.so.6", { flock: { args: ["i32", "i32"], returns: "i32" } }).symbols.flock;
  } catch {
    return () => -1;
  }
})();

/** Whether anything is mounted at or below `folder`: proc_pid_mountinfo(5), where the fifth field escapes blanks. */
function holdsMount(folder: string): boolean {
  const escaped = folder.replace(/[\s\\]/g, (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`);
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => `${line.split(" ")[4]}/`.startsWith(`${escaped}/`));
}

/** Removes the folder at `path` if it is this user's and its maker has ended. */
function removeIfLeft(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (fstatSync(fd).uid !== process.getuid?.() || holdsMount(path)) return;
    if (flock(fd, LOCK_EX | LOCK_NB) === 0) rmSync(path, { recursive: true, force: true });
  } finally {
    closeSync(fd);
  }
}

/** Removes what earlier processes of this user left in the folder `parent`. What cannot be removed stays. */
export function removeLeft(parent: string): void {
  let names: string[] = [];
  try {
    names = readdirSync(parent).filter((name) => NAME.test(name));
  } catch {
    // A folder that cannot be listed has nothing to remove.
  }
  for (const name of names) {
    try {
      removeIfLeft(join(parent, name));
    } catch {
      // Another process is removing it, or it is not ours to remove.
    }
  }
}

/** A folder that belongs to this process until it is removed. */
export interface Folder {
  readonly path: string;
  remove(): void;
}

/**
 * Makes a folder in `parent`, which must exist, after removing what earlier processes left there. The folder is removed
 * when a signal ends this process. Throws the system's error if it cannot be made.
 */
export function makeFolder(parent: string): Folder {
  removeLeft(parent);
  // Under this name nobody takes it for left behind; under the final one the lock protects it.
  const unlocked = mkdtempSync(join(parent, `${PREFIX}new-`));
  const fd = openSync(unlocked, constants.O_RDONLY | constants.O_DIRECTORY);
  flock(fd, LOCK_EX | LOCK_NB);
  const path = join(parent, `${PREFIX}${unlocked.slice(-6)}`);
  renameSync(unlocked, path);
  const forget = onInterrupt(async () => {
    await endDescendants(); // They could still be writing to it.
    rmSync(path, { recursive: true, force: true });
  });
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true });
      closeSync(fd);
      forget();
    },
  };
}

/** Runs `task` with the path of a new folder in `parent`, and removes the folder afterwards. See makeFolder. */
export async function withFolder<T>(parent: string, task: (path: string) => T | Promise<T>): Promise<T> {
  const folder = makeFolder(parent);
  try {
    return await task(folder.path);
  } finally {
    folder.remove();
  }
}
