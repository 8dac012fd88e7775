/**
 * Cold starts: the time of a start when nothing of the program is in memory, and how much it reads.
 *
 * The programs are on a separate disk, an ext4 image in a file, with copies of the libraries that they load. Only
 * those are forgotten: the machine's page cache stays as it is. The disk is mounted in a mount namespace with a process
 * of its own, and goes with it, however that ends. The kernel still knows the filesystem itself (names, sizes, places),
 * as right after an image was unpacked. The amount that is read depends on the read-ahead, the time on the
 * machine's own disk below the file as well.
 */
import { dlopen } from "bun:ffi";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { output, run } from "../command/run.ts";
import { withFolder } from "../linux/folder.ts";
import { pidNamespace } from "../linux/namespace.ts";
import type { Program } from "./programs.ts";
import { readyTime } from "./start.ts";
import { interleaved } from "./statistics.ts";

/** KiB that the kernel reads ahead: its own default, and the setting of disks of some clouds and distributions. */
export const READ_AHEAD: readonly number[] = [128, 8192];

/** One start of a program of which nothing is cached. */
export interface Cold {
  /** Wall time, in milliseconds. */
  readonly time: number;
  /** KiB read from the disk: program and libraries, with what was read ahead. */
  readonly read: number;
}

/** Cold starts of each program, in order, by KiB of read-ahead. */
type ColdResults = Readonly<Record<string, readonly (readonly Cold[])[]>>;

/** The name of the disk's file. */
export const DISK_NAME = "cold.img";

/** The reason to leave out cold starts. */
export const NO_LOOP_DEVICE = "no disk in a file can be mounted here: that needs root, e2fsprogs and a loop device";

/** Status of a namespace in which no disk could be mounted. */
const NO_DISK = 75;

/**
 * Makes the disk in the folder $1, mounts it on `root` there, and becomes what follows. `mount -o loop` makes the kernel
 * detach the loop device when the mount goes.
 */
const SETUP = `set -e
cd "$1"
shift
trap 'exit ${NO_DISK}' EXIT
truncate --size 1G ${DISK_NAME}
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 ${DISK_NAME}
mkdir root
mount -o loop ${DISK_NAME} root
trap - EXIT
exec "$@"`;

/**
 * Starts each of `programs` `rounds` times with each read-ahead, in turns. Nothing stays behind, even if this process is
 * killed while it measures.
 *
 * @returns the starts; undefined where no disk can be mounted
 */
export async function coldStarts(programs: readonly Program[], rounds: number): Promise<ColdResults | undefined> {
  const namespace = pidNamespace();
  if (!namespace) return undefined;
  return withFolder(tmpdir(), async (folder) => {
    const measure = [process.execPath, import.meta.path, folder, JSON.stringify({ programs, rounds })];
    // The namespace ends with this process, and with it all that runs in it.
    const { status, stdout, stderr } = await run([...namespace.command, "sh", "-c", SETUP, "sh", folder, ...measure]);
    if (status === NO_DISK) return undefined;
    if (status !== 0) throw new Error(`cold starts failed with status ${status}: ${stderr.trim()}`);
    return JSON.parse(stdout) as ColdResults;
  });
}

/** posix_fadvise(2): forget the cached pages of the file, except those not yet written (bits/fcntl-linux.h). */
const POSIX_FADV_DONTNEED = 4;

/** libc's posix_fadvise, which neither Bun nor Node offers. A command that does it would itself have libc read again. */
const libc = dlopen("libc.so.6", { posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" } });

/**
 * Measures, in the namespace: copies everything to the disk in `folder`, mounts it over the libraries, and starts the
 * programs.
 */
async function measureCold(folder: string, programs: readonly Program[], rounds: number): Promise<ColdResults> {
  const [disk, root] = [join(folder, DISK_NAME), join(folder, "root")];
  const device = `/sys/dev/block/${(await output(["mountpoint", "--fs-devno", root])).trim()}`;
  // The third field of a block device's stat is sectors read, of 512 bytes each whatever the device's own are.
  const kibRead = () => Number(readFileSync(`${device}/stat`, "utf8").trim().split(/\s+/)[2]) / 2;

  // Libraries and loaders; none of a static program.
  const { stdout } = await run(["ldd", ...programs.map(({ path }) => path)]);
  const libraries = [...new Set(Array.from(stdout.matchAll(/(\/\S+) \(0x/g), ([, library = ""]) => library))];
  const files = [...programs.map(({ path }) => path), ...libraries];
  for (const path of files) await output(["cp", "--parents", "--dereference", path, root]);
  await output(["mount", "-o", "remount,ro", root]);
  await output(["sync", disk]);
  for (const path of libraries) await output(["mount", "--bind", join(root, path), path]);
  const cached = [disk, ...files.map((path) => join(root, path))].map((path) => openSync(path, "r"));

  const starts = programs.map((program) => readyTime({ ...program, path: join(root, program.path) }));
  const cold = starts.map((start) => (): Cold => {
    for (const fd of cached) {
      const refused = libc.symbols.posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      if (refused !== 0) throw new Error(`posix_fadvise: error ${refused}`);
    }
    const before = kibRead();
    const { time } = start();
    return { time, read: kibRead() - before };
  });
  const results: Record<string, Cold[][]> = {};
  for (const kib of READ_AHEAD) {
    writeFileSync(`${device}/queue/read_ahead_kb`, `${kib}`);
    results[kib] = await interleaved("cold", cold, rounds);
  }
  return results;
}

if (import.meta.main) {
  const [, , folder = "", wanted = ""] = process.argv;
  const { programs, rounds } = JSON.parse(wanted) as { programs: Program[]; rounds: number };
  console.log(JSON.stringify(await measureCold(folder, programs, rounds)));
}
