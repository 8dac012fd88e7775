/** The PID 1 that a soak disturbs, in its own PID namespace and on its own disk. */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { InputError } from "../command/report.ts";
import { type Freezer, freezer, type Memory, memory } from "../linux/cgroup.ts";
import { makeFolder } from "../linux/folder.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "../linux/namespace.ts";
import { childrenOf, isReady, status, until } from "../linux/proc.ts";
import { compileStorm } from "../reference/compile.ts";

/** A running PID 1 and the means to disturb it. */
export interface Pod {
  /** Its PID in this process's namespace. */
  readonly pid: number;
  /** Whether it is traced: the kernel lets the tracer have a SIGSTOP of PID 1's own namespace, which it drops otherwise, and then PID 1 stops. */
  readonly traced: boolean;
  /** Whether the wall clock, which is the whole machine's, may be moved. */
  readonly clock: boolean;
  readonly freezer: Freezer | undefined;
  readonly memory: Memory | undefined;
  /** Runs a shell script inside its namespaces, with `$1`, `$2` …; what it leaves running becomes an orphan. Throws if it fails. */
  inside(script: string, ...args: readonly string[]): Promise<void>;
  /** Makes `count` orphans inside, which die in bursts of `burst`, and waits until all are reaped. */
  storm(count: number, burst: number): Promise<void>;
  /** Takes the disk away that the program was started from. */
  loseDisk(): Promise<void>;
  /** Sends it SIGTERM and tells how it ended and what it wrote to standard error. */
  end(): Promise<{ exit: number | null; stderr: string }>;
  /** Kills what is left and removes every trace. */
  dispose(): Promise<unknown>;
}

/** How far ahead the clocks in the pod are, in seconds: a machine that has been up for ten years. */
const AHEAD = "315360000";

/** The options of unshare that set the clocks ahead, where that can be done. */
function clocksAhead(command: readonly string[]): string[] {
  const options = ["--time", "--monotonic", AHEAD, "--boottime", AHEAD];
  return Bun.spawnSync([...command, ...options, "true"], { stderr: "ignore" }).success ? options : [];
}

/** Where a memory cgroup can be made, `sh` enters it first; then it makes a disk in memory, copies the program there and becomes it. */
const ENTER = '[ -z "$0" ] || echo $$ >"$0"; exec "$@"';
const START = 'mount -t tmpfs -o mode=755 tmpfs "$0" && cp "$1" "$0/pause" && exec "$0/pause"';

/**
 * Starts `program` as PID 1 and waits until it is ready. Throws an InputError where no PID namespace can be made.
 *
 * @param tracer the start of a command that runs what is appended to it and goes on to watch it, or nothing
 * @param clock whether the machine's wall clock may be moved
 */
export async function startPod(program: string, tracer: readonly string[], clock: boolean): Promise<Pod> {
  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  const storm = compileStorm();
  const cgroups = { freezer: freezer(), memory: memory() };
  const disk = makeFolder(tmpdir());
  const start = [...namespace.command, ...clocksAhead(namespace.command), "sh", "-c", START, disk.path, program];
  const child = Bun.spawn([...tracer, "sh", "-c", ENTER, cgroups.memory?.procs ?? "", ...start], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const stderr = child.stderr.text();
  /** PID 1, or a process on the way to becoming it: the parent's only child, and the tracer's only grandchild. */
  const first = () => childrenOf((tracer.length > 0 && childrenOf(child.pid)[0]?.pid) || child.pid)[0]?.pid;

  const dispose = async () => {
    cgroups.freezer?.thaw();
    // A tracer that is killed lets go of what it traces.
    const left = first();
    if (left !== undefined) attempt(() => process.kill(left, "SIGKILL"));
    child.kill("SIGKILL");
    await child.exited;
    for (const cgroup of Object.values(cgroups)) {
      // The kernel takes a moment to let go of processes that have ended.
      if (cgroup) await until("the cgroup to be empty", () => attempt(() => cgroup.remove()));
    }
    disk.remove();
  };
  try {
    const ended = () => child.exitCode !== null || child.signalCode !== null;
    const pid = await until(`${program} to be ready`, () => {
      if (ended()) return -1;
      const it = first();
      return it !== undefined && status(it)?.["Name"] === "pause" && isReady(it) && it;
    });
    if (pid < 0) throw new InputError(`${program} ended with ${child.exitCode}: ${(await stderr).trim()}`);
    if (cgroups.freezer) writeFileSync(cgroups.freezer.procs, String(pid));

    const inside: Pod["inside"] = async (script, ...args) => {
      const { exitCode, stderr } = await run([...namespace.enter(pid), "sh", "-c", script, "sh", ...args]);
      if (exitCode !== 0) throw new Error(`"${script}" ended with ${exitCode}: ${stderr.trim()}`);
    };
    return {
      pid,
      traced: tracer.length > 0,
      clock,
      ...cgroups,
      inside,
      dispose,
      storm: (count, burst) =>
        storm
          ? inside('"$1" "$2" "$3" >/dev/null', storm, `${count}`, `${burst}`)
          : inside('i=0; while [ $i -lt "$1" ]; do (true &); i=$((i+1)); done', `${count}`),
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

/** Whether `task` succeeded. */
function attempt(task: () => void): boolean {
  try {
    task();
    return true;
  } catch {
    return false;
  }
}

/** Runs a command to its end. */
async function run(command: readonly string[]): Promise<{ exitCode: number; stderr: string }> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  return { stderr: await child.stderr.text(), exitCode: await child.exited };
}
