/** Cgroups that count, stop or limit processes: cgroups(7), version 1 or 2. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./proc.ts";

/** A file that cgroups of each controller have, in version 1 and in version 2. */
const FILES = {
  cpu: ["cpu.cfs_quota_us", "cpu.max"],
  freezer: ["freezer.state", "cgroup.freeze"],
  memory: ["memory.limit_in_bytes", "memory.max"],
} as const;

/** A cgroup of this process. If it is not removed, the next process does that. */
export class Cgroup {
  readonly #folder: string;
  readonly #v1: boolean;

  /** Describes the cgroup at `folder`, which is of version 1 or 2. */
  constructor(folder: string, v1: boolean) {
    this.#folder = folder;
    this.#v1 = v1;
  }

  /** The file that a process writes its PID to in order to enter. */
  get procs(): string {
    return join(this.#folder, "cgroup.procs");
  }

  #read(file: string): string {
    return readFileSync(join(this.#folder, file), "utf8");
  }

  #write(file: string, value: string | number): void {
    writeFileSync(join(this.#folder, file), String(value));
  }

  /** Stops its processes. Resolves when all have stopped. */
  async freeze(): Promise<void> {
    this.#write(this.#v1 ? "freezer.state" : "cgroup.freeze", this.#v1 ? "FROZEN" : 1);
    const [file, sign] = this.#v1 ? ["freezer.state", "FROZEN\n"] : ["cgroup.events", "frozen 1\n"];
    while (!this.#read(file).includes(sign)) await Bun.sleep(1);
  }

  /** Lets its processes go on. */
  thaw(): void {
    this.#write(this.#v1 ? "freezer.state" : "cgroup.freeze", this.#v1 ? "THAWED" : 0);
  }

  /** Bytes of memory in use, as the limit counts them: the counter runs ahead by what each processor holds in stock. */
  usage(): number {
    return Number(this.#read(this.#v1 ? "memory.usage_in_bytes" : "memory.current"));
  }

  /** Memory charged, in KiB: anonymous, page cache and kernel. The kernel updates them every 2 s. */
  charged(): number {
    const stat = this.#read("memory.stat");
    const parts = (this.#v1 ? ["rss", "cache"] : ["anon", "file", "kernel"]).map((name) =>
      Number(stat.match(new RegExp(`^${name} (\\d+)$`, "m"))?.[1]),
    );
    if (this.#v1) parts.push(Number(this.#read("memory.kmem.usage_in_bytes")));
    return parts.reduce((sum, bytes) => sum + bytes, 0) / 1024;
  }

  /** Reclaims all memory that can be reclaimed, down to the last page it can run without. */
  squeeze(): void {
    if (!this.#v1) {
      // The kernel takes back all it can from a group above its high mark, and no process is killed.
      for (const mark of ["0", "max"]) this.#write("memory.high", mark);
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

  /** Allows so many bytes of memory in all; a process that asks for more is killed. Infinity allows any amount. */
  limit(bytes: number): void {
    const none = this.#v1 ? -1 : "max";
    this.#write(this.#v1 ? "memory.limit_in_bytes" : "memory.max", bytes === Infinity ? none : bytes);
  }

  /** Allows `percent` of one processor, out of every 100 ms. */
  quota(percent: number): void {
    this.#write(this.#v1 ? "cpu.cfs_quota_us" : "cpu.max", percent * 1000);
  }

  /** Gives it the smallest share of busy processors. CRI-O does so with pause: cpu.shares 2, which is cpu.weight 1. */
  leastShare(): void {
    this.#write(this.#v1 ? "cpu.shares" : "cpu.weight", this.#v1 ? 2 : 1);
  }

  /** Removes it once its processes have ended. Throws if they do not within a minute. */
  async remove(): Promise<void> {
    await until("the cgroup to be empty", () => this.#read("cgroup.procs") === "");
    rmdirSync(this.#folder);
  }
}

/** Removes the cgroups below `root` whose makers have ended: those without processes. */
function removeLeft(root: string, v1: boolean): void {
  for (const name of readdirSync(root)) {
    const [, pid] = /^pause-ts-(\d+)$/.exec(name) ?? [];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const folder = join(root, name);
    try {
      // Frozen processes cannot end when they are killed.
      if (FILES.freezer.some((file) => existsSync(join(folder, file)))) new Cgroup(folder, v1).thaw();
      rmdirSync(folder);
    } catch {
      // Its processes are ending.
    }
  }
}

/** Makes a cgroup of `controller`. Undefined where none can be made, as for users other than root. */
export function makeCgroup(controller: keyof typeof FILES): Cgroup | undefined {
  for (const hierarchy of [controller, "", "unified"]) {
    const root = join("/sys/fs/cgroup", hierarchy);
    if (!existsSync(join(root, "cgroup.procs"))) continue;
    const [folder, v1] = [join(root, `pause-ts-${process.pid}`), hierarchy === controller];
    removeLeft(root, v1);
    try {
      mkdirSync(folder);
    } catch {
      continue;
    }
    if (existsSync(join(folder, FILES[controller][v1 ? 0 : 1]))) return new Cgroup(folder, v1);
    rmdirSync(folder);
  }
  return undefined;
}
