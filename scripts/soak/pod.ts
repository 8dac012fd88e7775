/** The PID 1 that a soak disturbs, in its own PID namespace and on its own disk. */
import { writeFileSync } from "node:fs";
import { InputError } from "../command/report.ts";
import { output } from "../command/run.ts";
import { makeCgroup } from "../linux/cgroup.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "../linux/namespace.ts";
import { descendantsOf, showsPause, status, until } from "../linux/proc.ts";
import { compileStorm } from "../reference/compile.ts";

/**
 * A shell that enters the memory cgroup, if one can be made, then one that makes a disk in memory, copies the program
 * there and becomes it.
 */
const ENTER = '[ -z "$0" ] || echo $$ >"$0"; exec "$@"';
const START = 'mount -t tmpfs -o mode=755 tmpfs "$0" && cp "$1" "$0/pause" && exec "$0/pause"';

/** Makes `$1` orphans where no storm can be compiled. */
const FEW = 'i=0; while [ $i -lt "$1" ]; do (true &); i=$((i+1)); done';

/** A running PID 1 and the means to disturb it. */
export type Pod = Awaited<ReturnType<typeof startPod>>;

/**
 * Starts `program` as PID 1 and waits until it is ready. Throws an InputError where no PID namespace can be made.
 *
 * @param disk the folder on which its disk is mounted
 * @param tracer a command to which another is appended, which it runs and watches; or nothing
 */
export async function startPod(program: string, disk: string, tracer: readonly string[]) {
  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  const stormer = compileStorm();
  const [freezer, memory] = [makeCgroup("freezer"), makeCgroup("memory")];
  const start = [...namespace.command, "sh", "-c", START, disk, program];
  const child = Bun.spawn([...tracer, "sh", "-c", ENTER, memory?.procs ?? "", ...start], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stderr = child.stderr.text();
  const ended = () => child.exitCode !== null || child.signalCode !== null;

  /** Kills it, if it still runs, and removes every trace. */
  const dispose = async () => {
    freezer?.thaw();
    // Each process below it ends with its parent.
    child.kill("SIGKILL");
    await child.exited;
    for (const cgroup of [freezer, memory]) await cgroup?.remove();
  };

  const pid = await until(`${program} to be ready`, () => {
    if (ended()) return -1;
    return descendantsOf(child.pid).find(({ pid }) => showsPause(status(pid)))?.pid;
  });
  if (pid < 0) {
    await dispose();
    throw new InputError(`${program} ended with ${child.exitCode}: ${(await stderr).trim()}`);
  }
  if (freezer) writeFileSync(freezer.procs, String(pid));

  /**
   * Runs a shell script inside its namespaces, with `$1`, `$2` …; processes that it leaves become orphans. Throws if it
   * fails or is not over in a minute.
   */
  const inside = (script: string, ...args: readonly string[]) =>
    output([...namespace.enter(pid), "timeout", "60", "sh", "-c", script, "sh", ...args]);

  return {
    pid,
    freezer,
    memory,
    inside,
    dispose,
    /**
     * True if it is traced: then the kernel does not drop a SIGSTOP from its own namespace, but lets the tracer have
     * it, and PID 1 stops.
     */
    traced: tracer.length > 0,
    /** Makes `count` orphans inside, which die in bursts of `burst`, and waits until all are reaped. */
    storm: (count: number, burst: number) =>
      stormer ? inside('exec "$@"', stormer, `${count}`, `${burst}`) : inside(FEW, `${count}`),
    /** Takes the disk away that the program was started from. */
    loseDisk: () => inside('umount -l "$1"', disk),
    /** Sends it SIGTERM and returns how it ended and what it wrote to standard error. */
    async end() {
      process.kill(pid, "SIGTERM");
      await until("the end", ended);
      return { exit: child.exitCode, stderr: await stderr };
    },
  };
}
