/** The PID 1 that a soak disturbs, in its own PID namespace and on its own disk. */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { InputError } from "../command/report.ts";
import { output } from "../command/run.ts";
import { type Cgroup, makeCgroup } from "../linux/cgroup.ts";
import { makeFolder } from "../linux/folder.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "../linux/namespace.ts";
import { descendantsOf, showsReady, status, until } from "../linux/proc.ts";
import { compileStorm } from "../reference/compile.ts";

/** A running PID 1 and the means to disturb it. */
export interface Pod {
  /** Its PID in this process's namespace. */
  readonly pid: number;
  /** True if it is traced: then the kernel does not drop a SIGSTOP from its own namespace, but lets the tracer have it, and PID 1 stops. */
  readonly traced: boolean;
  readonly freezer: Cgroup | undefined;
  readonly memory: Cgroup | undefined;
  /** Runs a shell script inside its namespaces, with `$1`, `$2` …; processes that it leaves become orphans. Throws if it fails or is not over in a minute. */
  inside(script: string, ...args: readonly string[]): Promise<unknown>;
  /** Makes `count` orphans inside, which die in bursts of `burst`, and waits until all are reaped. */
  storm(count: number, burst: number): Promise<unknown>;
  /** Takes the disk away that the program was started from. */
  loseDisk(): Promise<unknown>;
  /** Sends it SIGTERM and returns how it ended and what it wrote to standard error. */
  end(): Promise<{ exit: number | null; stderr: string }>;
  /** Kills it, if it still runs, and removes every trace. */
  dispose(): Promise<void>;
}

/** A shell that enters the memory cgroup, if one can be made, then one that makes a disk in memory, copies the program there and becomes it. */
const ENTER = '[ -z "$0" ] || echo $$ >"$0"; exec "$@"';
const START = 'mount -t tmpfs -o mode=755 tmpfs "$0" && cp "$1" "$0/pause" && exec "$0/pause"';

/** The longest that anything inside may take. */
const IN_TIME = ["timeout", "60"];

/** Makes `$1` orphans where no storm can be compiled. */
const FEW = 'i=0; while [ $i -lt "$1" ]; do (true &); i=$((i+1)); done';

/**
 * Starts `program` as PID 1 and waits until it is ready. Throws an InputError where no PID namespace can be made.
 *
 * @param tracer a command to which another is appended, which it runs and watches; or nothing
 */
export async function startPod(program: string, tracer: readonly string[]): Promise<Pod> {
  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  const storm = compileStorm();
  const cgroups = { freezer: makeCgroup("freezer"), memory: makeCgroup("memory") };
  const disk = makeFolder(tmpdir());
  const start = [...namespace.command, "sh", "-c", START, disk.path, program];
  const child = Bun.spawn([...tracer, "sh", "-c", ENTER, cgroups.memory?.procs ?? "", ...start], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stderr = child.stderr.text();
  const dispose = async () => {
    cgroups.freezer?.thaw();
    // Each process below it ends with its parent.
    child.kill("SIGKILL");
    await child.exited;
    for (const cgroup of Object.values(cgroups)) await cgroup?.remove();
    disk.remove();
  };
  try {
    const ended = () => child.exitCode !== null || child.signalCode !== null;
    const pid = await until(`${program} to be ready`, () => {
      if (ended()) return -1;
      return descendantsOf(child.pid).find(({ pid }) => {
        const now = status(pid);
        return now?.["Name"] === "pause" && showsReady(now);
      })?.pid;
    });
    if (pid < 0) throw new InputError(`${program} ended with ${child.exitCode}: ${(await stderr).trim()}`);
    if (cgroups.freezer) writeFileSync(cgroups.freezer.procs, String(pid));

    const inside: Pod["inside"] = (script, ...args) =>
      output([...namespace.enter(pid), ...IN_TIME, "sh", "-c", script, "sh", ...args]);
    return {
      pid,
      traced: tracer.length > 0,
      ...cgroups,
      inside,
      dispose,
      storm: (count, burst) => (storm ? inside('exec "$@"', storm, `${count}`, `${burst}`) : inside(FEW, `${count}`)),
      loseDisk: () => inside('umount -l "$1"', disk.path),
      async end() {
        process.kill(pid, "SIGTERM");
        await until("the end", ended);
        return { exit: child.exitCode, stderr: await stderr };
      },
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
