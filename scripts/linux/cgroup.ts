/** Cgroups that count, stop or limit processes: cgroups(7), version 1 or 2. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atExit } from "./interrupt.ts";

const NAME = `pause-ts-${process.pid}`;
const ROOT = "/sys/fs/cgroup";

/** Removes the cgroup at `folder` once its processes have ended. It stays if one does not within a second. */
function removeCgroup(folder: string): void {
  for (let tries = 0; existsSync(folder) && tries < 100; tries++) {
    try {
      rmdirSync(folder);
    } catch {
      Bun.sleepSync(10);
    }
  }
}

/** Resumes the processes frozen in the cgroup at `folder`: otherwise they cannot end when they are killed. */
function thaw(folder: string): void {
  for (const [file, value] of Object.entries({ "freezer.state": "THAWED", "cgroup.freeze": "0" }))
    if (existsSync(join(folder, file))) writeFileSync(join(folder, file), value);
}

/** Removes the cgroups below `root` whose makers have ended. */
function removeLeft(root: string): void {
  for (const name of readdirSync(root)) {
    const [, pid] = /^pause-ts-(\d+)$/.exec(name) ?? [];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    thaw(join(root, name));
    removeCgroup(join(root, name));
  }
}

/** A cgroup of this process. It is removed at the latest when this process ends. */
export class Cgroup {
  readonly #folder: string;
  readonly #thaw: () => void;
  readonly #undo: () => void;
  /** True for version 1. */
  protected readonly v1: boolean;

  constructor(folder: string, v1: boolean) {
    this.#folder = folder;
    this.v1 = v1;
    this.#thaw = () => thaw(folder);
    this.#undo = () => removeCgroup(folder);
    atExit(this.#undo);
    // Before the processes in it are killed.
    process.prependListener("exit", this.#thaw);
  }

  /** The file that a process writes its PID to in order to enter. */
  get procs(): string {
    return join(this.#folder, "cgroup.procs");
  }

  protected read(file: string): string {
    return readFileSync(join(this.#folder, file), "utf8");
  }

  protected write(file: string, value: string | number): void {
    writeFileSync(join(this.#folder, file), String(value));
  }

  /** Removes it. Throws if a process is left in it. */
  remove(): void {
    rmdirSync(this.#folder);
    for (const listener of [this.#thaw, this.#undo]) process.off("exit", listener);
  }
}

/**
 * Makes a cgroup of the kind `Kind` that has the file `old`, in the hierarchy of `controller`, or `modern`, in that of
 * version 2. Undefined where none can be made, as for users other than root.
 */
function make<T extends Cgroup>(
  Kind: new (folder: string, v1: boolean) => T,
  controller: string,
  old: string,
  modern: string,
): T | undefined {
  for (const hierarchy of [controller, "", "unified"]) {
    const root = join(ROOT, hierarchy);
    if (!existsSync(join(root, "cgroup.procs"))) continue;
    const [folder, v1] = [join(root, NAME), hierarchy === controller];
    removeLeft(root);
    try {
      mkdirSync(folder);
    } catch {
      continue;
    }
    if (existsSync(join(folder, v1 ? old : modern))) return new Kind(folder, v1);
    removeCgroup(folder);
  }
  return undefined;
}

/** A cgroup in which processes can be stopped. */
export class Freezer extends Cgroup {
  async freeze(): Promise<void> {
    this.write(this.v1 ? "freezer.state" : "cgroup.freeze", this.v1 ? "FROZEN" : 1);
    const [file, sign] = this.v1 ? ["freezer.state", "FROZEN\n"] : ["cgroup.events", "frozen 1\n"];
    while (!this.read(file).includes(sign)) await Bun.sleep(1);
  }

  thaw(): void {
    this.write(this.v1 ? "freezer.state" : "cgroup.freeze", this.v1 ? "THAWED" : 0);
  }
}

/** A freezer, or undefined where none can be made. */
export const freezer = (): Freezer | undefined => make(Freezer, "freezer", "freezer.state", "cgroup.freeze");

/** A cgroup whose memory can be counted and limited. */
export class Memory extends Cgroup {
  /** Bytes in use, as the limit counts them: the counter runs ahead by what each processor holds in stock. */
  usage(): number {
    return Number(this.read(this.v1 ? "memory.usage_in_bytes" : "memory.current"));
  }

  /** Memory charged, in KiB: anonymous, page cache and kernel. The kernel updates them every 2 s. */
  charged(): number {
    const stat = this.read("memory.stat");
    const parts = (this.v1 ? ["rss", "cache"] : ["anon", "file", "kernel"]).map((name) =>
      Number(stat.match(new RegExp(`^${name} (\\d+)$`, "m"))?.[1]),
    );
    if (this.v1) parts.push(Number(this.read("memory.kmem.usage_in_bytes")));
    return parts.reduce((sum, bytes) => sum + bytes, 0) / 1024;
  }

  /** Reclaims everything that can be reclaimed, down to the last page it can run without. */
  squeeze(): void {
    if (!this.v1) {
      // The kernel takes back all it can from a group above its high mark, and no process is killed.
      for (const mark of ["0", "max"]) this.write("memory.high", mark);
      return;
    }
    // Version 1 refuses a limit that it cannot reach, after it has tried.
    for (let bytes = this.usage() / 2; bytes >= 4096; bytes /= 2) {
      try {
        this.limit(Math.floor(bytes));
      } catch {
        return;
      }
    }
  }

  /** Allows so many bytes in all; a process that asks for more is killed. Infinity allows any amount. */
  limit(bytes: number): void {
    const none = this.v1 ? -1 : "max";
    this.write(this.v1 ? "memory.limit_in_bytes" : "memory.max", bytes === Infinity ? none : bytes);
  }
}

/** A memory cgroup, or undefined where none can be made. */
export const memory = (): Memory | undefined => make(Memory, "memory", "memory.limit_in_bytes", "memory.max");

/** A cgroup whose processor time can be limited. */
export class Processor extends Cgroup {
  /** Allows `percent` of one processor, out of every 100 ms. */
  quota(percent: number): void {
    this.write(this.v1 ? "cpu.cfs_quota_us" : "cpu.max", percent * 1000);
  }

  /** Gives it the smallest share of busy processors. CRI-O does so with pause: cpu.shares 2, which is cpu.weight 1. */
  leastShare(): void {
    this.write(this.v1 ? "cpu.shares" : "cpu.weight", this.v1 ? 2 : 1);
  }
}

/** A cgroup that limits processor time, or undefined where none can be made. */
export const processor = (): Processor | undefined => make(Processor, "cpu", "cpu.cfs_quota_us", "cpu.max");
