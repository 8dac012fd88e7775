/** Cgroups to weigh processes in, to stop them and to take their memory away: cgroups(7), version 1 or 2. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "./interrupt.ts";

/** A cgroup of our own. */
export interface Cgroup {
  /** The file that a process writes its PID to in order to enter. */
  readonly procs: string;
  /** Removes it. No process may be left in it. */
  remove(): void;
}

/** One in which processes can be stopped. */
export interface Freezer extends Cgroup {
  freeze(): Promise<void>;
  thaw(): void;
}

/** One whose memory can be counted and limited. */
export interface Memory extends Cgroup {
  /** Bytes in use, as the limit counts them: the counter runs ahead by what each processor holds in stock. */
  usage(): number;
  /**
   * Memory charged, in KiB: anonymous, page cache and kernel, added up. The kernel brings the parts up to date every 2 s.
   */
  charged(): number;
  /** Reclaims everything that can be reclaimed, down to the last page it can run without. */
  squeeze(): void;
  /** Allows so many bytes in all; a process that asks for more is killed. */
  limit(bytes: number): void;
  /** Allows any amount again. */
  release(): void;
}

/** One whose processor time can be limited. */
export interface Processor extends Cgroup {
  /** Allows `microseconds` (1,000 or more) of every second. */
  quota(microseconds: number): void;
  /** How often somebody had to wait for the next second. */
  throttled(): number;
}

const NAME = `pause-ts-${process.pid}`;
const ROOT = "/sys/fs/cgroup";

/** The file that lets a frozen cgroup go on, and what it is written, by version. */
const THAW = [
  ["freezer.state", "THAWED"],
  ["cgroup.freeze", "0"],
] as const;

/** Removes the cgroup at `folder`, whose processes are about to end. It stays if one does not within a second. */
function removeCgroup(folder: string): void {
  for (let tries = 0; existsSync(folder) && tries < 100; tries++) {
    try {
      rmdirSync(folder);
    } catch {
      Bun.sleepSync(10);
    }
  }
}

/** Lets what is frozen in the cgroup at `folder` go on: killed, it cannot end otherwise. */
function thaw(folder: string): void {
  for (const [file, thawed] of THAW) if (existsSync(join(folder, file))) writeFileSync(join(folder, file), thawed);
}

/** Removes what processes that have ended have left in the cgroup at `root`. */
function removeLeft(root: string): void {
  for (const name of readdirSync(root)) {
    const [, pid] = /^pause-ts-(\d+)$/.exec(name) ?? [];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    thaw(join(root, name));
    removeCgroup(join(root, name));
  }
}

/** Makes a cgroup under the first of `roots` that gives it the file `control`. Undefined where none does, as for users other than root. */
function make(roots: readonly string[], control: string): string | undefined {
  for (const root of roots) {
    if (!existsSync(join(root, "cgroup.procs"))) continue;
    const folder = join(root, NAME);
    removeLeft(root);
    try {
      mkdirSync(folder);
    } catch {
      continue;
    }
    if (existsSync(join(folder, control))) return folder;
    rmdirSync(folder);
  }
  return undefined;
}

/** The shared part: the cgroup at `folder` is removed at the latest when this process ends. */
function base(folder: string): Cgroup {
  const undo = () => removeCgroup(folder);
  atExit(undo);
  process.prependListener("exit", () => thaw(folder));
  return {
    procs: join(folder, "cgroup.procs"),
    remove() {
      rmdirSync(folder);
      process.off("exit", undo);
    },
  };
}

/** A freezer, or undefined where none can be made. */
export function freezer(): Freezer | undefined {
  const v1 = make([join(ROOT, "freezer")], "freezer.state");
  const folder = v1 ?? make([ROOT, join(ROOT, "unified")], "cgroup.freeze");
  if (!folder) return undefined;
  const [file, frozen, thawed] = v1 ? ["freezer.state", "FROZEN", "THAWED"] : ["cgroup.freeze", "1", "0"];
  const [state, sign] = v1 ? ["freezer.state", "FROZEN"] : ["cgroup.events", "frozen 1"];
  return {
    ...base(folder),
    async freeze() {
      writeFileSync(join(folder, file), frozen);
      while (!readFileSync(join(folder, state), "utf8").includes(sign)) await Bun.sleep(1);
    },
    thaw: () => writeFileSync(join(folder, file), thawed),
  };
}

/** The sum of the fields `names` of `memory.stat`, in bytes. */
function stat(folder: string, ...names: readonly string[]): number {
  const lines = readFileSync(join(folder, "memory.stat"), "utf8").split("\n");
  const fields = new Map(lines.map((line) => line.split(" ") as [string, string]));
  return names.reduce((sum, name) => sum + Number(fields.get(name)), 0);
}

/** A memory cgroup, or undefined where none can be made. */
export function memory(): Memory | undefined {
  const v1 = make([join(ROOT, "memory")], "memory.limit_in_bytes");
  const folder = v1 ?? make([ROOT], "memory.max");
  if (!folder) return undefined;
  const write = (file: string, value: string) => writeFileSync(join(folder, file), value);
  const read = (file: string) => Number(readFileSync(join(folder, file), "utf8"));
  const usage = () => read(v1 ? "memory.usage_in_bytes" : "memory.current");
  const [limit, none] = v1 ? ["memory.limit_in_bytes", "-1"] : ["memory.max", "max"];
  return {
    ...base(folder),
    usage,
    charged: () =>
      (v1
        ? stat(folder, "rss", "cache") + read("memory.kmem.usage_in_bytes")
        : stat(folder, "anon", "file", "kernel")) / 1024,
    squeeze() {
      if (!v1) {
        // The kernel takes back all it can from a group above its high mark and kills nobody.
        write("memory.high", "0");
        write("memory.high", "max");
        return;
      }
      // Version 1 refuses a limit that it cannot reach, after it has tried.
      for (let bytes = usage() / 2; bytes >= 4096; bytes /= 2) {
        try {
          write(limit, String(Math.floor(bytes)));
        } catch {
          return;
        }
      }
    },
    limit: (bytes) => write(limit, String(bytes)),
    release: () => write(limit, none),
  };
}

/** A cgroup that limits processor time, or undefined where none can be made. */
export function processor(): Processor | undefined {
  const old = make([join(ROOT, "cpu")], "cpu.cfs_quota_us");
  const folder = old ?? make([ROOT], "cpu.max");
  if (!folder) return undefined;
  const write = (file: string, value: string) => writeFileSync(join(folder, file), value);
  return {
    ...base(folder),
    quota(microseconds) {
      if (!old) return write("cpu.max", `${microseconds} 1000000`);
      write("cpu.cfs_period_us", "1000000");
      write("cpu.cfs_quota_us", String(microseconds));
    },
    throttled: () => Number(readFileSync(join(folder, "cpu.stat"), "utf8").match(/^nr_throttled (\d+)$/m)?.[1]),
  };
}
