/**
 * Cold starts: what a start takes when nothing of the program is in memory, and how much it reads.
 *
 * The programs are on a separate disk, an ext4 image in a file, with copies of the libraries that they load. Only
 * those are forgotten: the machine's page cache stays as it is. The disk is mounted in a mount namespace with a process
 * of its own, and goes with it, however that ends. What the kernel knows of the filesystem itself (names, sizes, places)
 * stays known, as right after an image was unpacked. What is read ahead decides how much is read; how long that takes is up
 * to the machine's own disk, below the file, as well.
 */
import { dlopen } from "bun:ffi";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { withFolder } from "../linux/folder.ts";
import { pidNamespace } from "../linux/namespace.ts";
import type { Program } from "./programs.ts";
import { readyTime, versionTime } from "./start.ts";
import { interleaved } from "./statistics.ts";

/** KiB that the kernel reads ahead: its own default, and what disks of some clouds and distributions are set to. */
export const READ_AHEAD: readonly number[] = [128, 8192];

/** One start of a program of which nothing is cached. */
export interface Cold {
  /** Wall time, in milliseconds. */
  readonly time: number;
  /** KiB read from the disk: program and libraries, with what was read ahead. */
  readonly read: number;
}

/** Cold starts of one program. */
export interface ColdStarts {
  readonly ready: readonly Cold[];
  /** `-v`; none of a program that has no `-v`. */
  readonly version: readonly Cold[];
}

/** Cold starts of each program, in order, by KiB of read-ahead. */
export type ColdResults = Readonly<Record<string, readonly ColdStarts[]>>;

/** Where the disk is mounted, in the namespace: what a directory of this name is for (Filesystem Hierarchy Standard). */
const MOUNT_POINT = "/mnt";

/** libc's posix_fadvise, which neither Bun nor Node offers. */
const libc = dlopen("libc.so.6", { posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" } });

/** How the disk's file is called, in the folder for temporary files. */
export const DISK_NAME = "pause-cold-";

/** What it takes. */
const TOOLS = ["ldd", "mkfs.ext4", "mktemp", "mount", "setpriv", "truncate", "unshare"];

/** What to tell where nothing else is in the way. */
export const NO_LOOP_DEVICE = "no disk in a file can be mounted here";

/** Status of a namespace in which no disk could be mounted. */
const NO_DISK = 75;

/**
 * Makes and mounts the disk, and becomes what follows. The file has lost its name by then, and stays as descriptor 9.
 * `mount -o loop` makes the kernel detach the loop device when the mount goes.
 */
const SETUP = `set -e
disk=$(mktemp "$1/${DISK_NAME}XXXXXX")
trap 'rm -f "$disk"; exit ${NO_DISK}' EXIT
truncate --size 1G "$disk"
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$disk"
exec 9<"$disk"
mount -o loop "$disk" ${MOUNT_POINT}
rm "$disk"
trap - EXIT
shift
exec "$@"`;

/** The descriptor of the disk's file. */
const DISK = 9;

/** Why there are no cold starts here, or undefined if they can be tried. */
export function coldObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "it takes root to mount a disk of their own";
  const missing = TOOLS.filter((tool) => !Bun.which(tool));
  if (missing.length > 0) return `not installed: ${missing.join(", ")}`;
  if (!pidNamespace()) return "no namespace can be made here";
  if (!existsSync(MOUNT_POINT)) return `there is no ${MOUNT_POINT}`;
  return import.meta.path.startsWith(`${MOUNT_POINT}/`) ? `the project lies below ${MOUNT_POINT}` : undefined;
}

/**
 * Starts each of `programs`, which must show when they are ready, `rounds` times with each read-ahead, in turns.
 * Nothing stays behind, even if this process is killed while it measures; but the file of a disk that is not mounted yet,
 * until the next time.
 *
 * @returns the starts; undefined where there is a coldObstacle, or no loop device
 */
export async function coldStarts(programs: readonly Program[], rounds: number): Promise<ColdResults | undefined> {
  if (coldObstacle() !== undefined) return undefined;
  const measure = [process.execPath, import.meta.path, JSON.stringify({ programs, rounds })];
  return withFolder(tmpdir(), (folder) => measureIn(folder, measure));
}

/** Runs the command `measure` on a disk that is a file in `folder` at first. */
async function measureIn(folder: string, measure: readonly string[]): Promise<ColdResults | undefined> {
  const setup = ["sh", "-c", SETUP, "cold", folder, ...measure];
  // The namespace ends with this process, and with it all that runs in it.
  const namespace = ["setpriv", "--pdeathsig", "KILL", ...(pidNamespace()?.command ?? [])];
  const child = Bun.spawn([...namespace, ...setup], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [text, trouble, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (status === NO_DISK) return undefined;
  if (status !== 0) throw new Error(`cold starts failed with status ${status}: ${trouble.trim()}`);
  return JSON.parse(text) as ColdResults;
}

/** The paths of the libraries and of the loader that the executable at `path` is loaded with; none for a static one. */
function librariesOf(path: string): string[] {
  const { stdout } = Bun.spawnSync(["ldd", path], { stderr: "ignore" });
  return [...stdout.toString().matchAll(/(\/\S+) \(0x/g)].map(([, library = ""]) => library);
}

/** `MAJOR:MINOR` of the block device that is mounted at `path`: the fields of proc_pid_mountinfo(5). */
function deviceOf(path: string): string {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const device = lines.map((line) => line.split(" ")).findLast(([, , , , at]) => at === path)?.[2];
  if (!device?.startsWith("7:")) throw new Error(`no loop device is mounted at ${path}`);
  return device;
}

/** Runs a command of the set-up. Throws with what it said if it fails. */
function run(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(words);
  if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
}

/** posix_fadvise(2): forget what is cached of the file (bits/fcntl-linux.h). */
const POSIX_FADV_DONTNEED = 4;

/** Makes the kernel forget what it holds of open files; what is not written yet is not forgotten. */
function forget(descriptors: readonly number[]): void {
  for (const fd of descriptors) {
    const refused = libc.symbols.posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (refused !== 0) throw new Error(`posix_fadvise: error ${refused}`);
  }
}

/** Measures, in the namespace: copies everything to the disk, mounts it over the libraries, and starts the programs. */
async function measureCold(programs: readonly Program[], rounds: number): Promise<ColdResults> {
  // The third field of a block device's stat is sectors read, of 512 bytes each whatever the device's own are.
  const device = `/sys/dev/block/${deviceOf(MOUNT_POINT)}`;
  const kibRead = () => Number(readFileSync(`${device}/stat`, "utf8").trim().split(/\s+/)[2]) / 2;

  const copies = new Map<string, string>();
  const copy = (path: string, folder: string): string => {
    mkdirSync(folder, { recursive: true });
    const to = join(folder, basename(path));
    copyFileSync(path, to);
    chmodSync(to, 0o755);
    copies.set(to, path);
    return to;
  };
  const cold = programs.map((program, index) => ({
    ...program,
    path: copy(program.path, join(MOUNT_POINT, `${index}`)),
  }));
  const libraries = new Set(programs.flatMap(({ path }) => librariesOf(path)));
  const own = [...libraries].map((path) => [copy(path, join(MOUNT_POINT, "lib")), path] as const);
  const files = [...copies.keys()].map((path) => openSync(path, "r"));
  for (const fd of [...files, DISK]) fsyncSync(fd);
  run("mount", "-o", "remount,ro", MOUNT_POINT);
  for (const [path, over] of own) run("mount", "--bind", path, over);

  const once = (start: () => number) => (): Cold => {
    forget([...files, DISK]);
    const before = kibRead();
    const time = start();
    return { time, read: kibRead() - before };
  };
  const starts = cold.map((program) => {
    const ready = readyTime(program, program.ready ?? []);
    return { ready: once(() => ready().time), version: program.version ? once(versionTime(program)) : undefined };
  });
  const results: Record<string, ColdStarts[]> = {};
  for (const kib of READ_AHEAD) {
    writeFileSync(`${device}/queue/read_ahead_kb`, `${kib}`);
    const ready = await interleaved(
      starts.map((start) => start.ready),
      rounds,
    );
    const version = await interleaved(
      starts.map((start) => start.version ?? (() => undefined)),
      rounds,
    );
    results[kib] = starts.map((_, index) => ({
      ready: ready[index] ?? [],
      version: version[index]?.filter((value) => value !== undefined) ?? [],
    }));
  }
  return results;
}

if (import.meta.main) {
  const { programs, rounds } = JSON.parse(process.argv[2] ?? "") as { programs: Program[]; rounds: number };
  console.log(JSON.stringify(await measureCold(programs, rounds)));
}
