/** A memory cgroup to count in, where this machine lets one be made: cgroups(7), version 1 or 2. */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";

/** A memory cgroup of our own. */
export interface MemoryCgroup {
  /** The file that a process writes its PID to in order to enter. */
  readonly procs: string;
  /**
   * Memory charged, in KiB: anonymous, page cache and kernel. Added up, for the counter itself runs ahead by what each
   * processor holds in stock. The kernel brings the parts up to date every 2 s.
   */
  charged(): number;
  /** Removes it. No process may be left in it. */
  remove(): void;
}

/** The fields of `memory.stat` called `names`, added up, in bytes. */
function stat(folder: string, ...names: readonly string[]): number {
  const lines = readFileSync(join(folder, "memory.stat"), "utf8").split("\n");
  const fields = new Map(lines.map((line) => line.split(" ") as [string, string]));
  return names.reduce((sum, name) => sum + Number(fields.get(name)), 0);
}

/** Where each version's memory cgroups are, and how the charged bytes of one are read. */
const HIERARCHIES: readonly { root: string; bytes: (folder: string) => number }[] = [
  { root: "/sys/fs/cgroup", bytes: (folder) => stat(folder, "anon", "file", "kernel") },
  {
    root: "/sys/fs/cgroup/memory",
    bytes: (folder) =>
      stat(folder, "rss", "cache") + Number(readFileSync(join(folder, "memory.kmem.usage_in_bytes"), "utf8")),
  },
];

/** Makes a memory cgroup, or returns undefined where that cannot be done. */
export function memoryCgroup(): MemoryCgroup | undefined {
  for (const { root, bytes } of HIERARCHIES) {
    if (!existsSync(join(root, "cgroup.procs"))) continue;
    const folder = join(root, `pause-bench-${process.pid}`);
    try {
      mkdirSync(folder);
    } catch {
      continue; // Not root.
    }
    // In version 2 the controller may not be given to the root's children.
    if (existsSync(join(folder, "memory.stat"))) {
      return {
        procs: join(folder, "cgroup.procs"),
        charged: () => bytes(folder) / 1024,
        remove: () => rmdirSync(folder),
      };
    }
    rmdirSync(folder);
  }
  return undefined;
}
