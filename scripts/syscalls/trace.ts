/** Traces the system calls that pause makes, from its execve(2) to its end, with strace(1) and qemu's user-mode emulators. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../command/report.ts";
import { hostPlatform, type Platform } from "../executable/platforms.ts";
import { childrenOf, descendantsOf, isReady, sleepsWithHandlers, status, until } from "../linux/proc.ts";

/** A way to trace calls. */
export type Tracer = "strace" | "qemu";

/** The emulator of each architecture, from Debian's package qemu-user-static. */
const EMULATORS = { amd64: "qemu-x86_64-static", arm64: "qemu-aarch64-static" } as const;

/**
 * Calls that the emulators make for their guest without showing them, or do not know. libc does without restartable
 * sequences and clone3(2) there; on a real kernel it uses them: linux/rseq.h, sched.h.
 */
const HIDDEN = ["clone3", "execve", "rseq", "rt_sigreturn"];

/** The program of `tracer` for `platform`. Throws an InputError if it is not installed. */
export function programOf(tracer: Tracer, platform: Platform): string {
  const program = tracer === "qemu" ? EMULATORS[platform.architecture] : tracer;
  if (!Bun.which(program)) throw new InputError(`${program} is not installed`);
  return program;
}

/**
 * Mounts the folders that the program needs into the root `$0`, in namespaces that end with it, and runs `$@` there by
 * chroot(1).
 */
const ENTER = 'mount --rbind /dev "$0/dev" && PATH=$PATH:/usr/sbin exec chroot "$0" "$@"';

/**
 * The command to append pause's arguments to: traced to `log`, with the files of `root` and no others. PID 1 starts
 * with a child.
 */
function command(tracer: Tracer, platform: Platform, root: string, log: string, pidOne: boolean): string[] {
  if (tracer === "qemu") {
    return [programOf(tracer, platform), "-strace", "-D", log, "-L", root, join(root, "pause")];
  }
  const user = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const pid = pidOne ? ["--pid", "--fork", "--kill-child", `--mount-proc=${join(root, "proc")}`] : ["--mount"];
  // The child of the shell becomes a child of pause, which the shell becomes by exec.
  const first = pidOne ? "sleep 1000 & " : 'mount --rbind /proc "$0/proc" && ';
  const strace = ["strace", "-f", "-qq", "-o", log];
  return [...strace, "unshare", ...user, ...pid, "sh", "-ec", `${first}${ENTER}`, root, "/pause"];
}

/**
 * The names of the calls in `log`: in strace's, those of pause and its threads from its execve(2) to its end. The trace
 * also has the processes that it was started by and with: they made a call before it, or make an execve(2) themselves.
 */
async function callsIn(log: string, tracer: Tracer): Promise<string[]> {
  const text = await readFile(log, "utf8");
  if (tracer === "qemu") return [...text.matchAll(/^\d+ (\w+)\(/gm)].map(([, name = ""]) => name);
  const [, pid, pause = ""] = text.match(/^(\d+) +execve\("\/pause"(.*[\s\S]*)/m) ?? [];
  const [own = ""] = pause.split(new RegExp(`^${pid} +exit_group\\(`, "m"));
  const before = text.slice(0, -pause.length).matchAll(/^(\d+) /gm);
  const others = new Set([...before, ...own.matchAll(/^(\d+) +execve\(/gm)].map(([, other]) => other));
  others.delete(pid);
  const calls = [...own.matchAll(/^(\d+) +(\w+)\(/gm)].filter(([, by]) => !others.has(by));
  return ["execve", ...calls.map(([, , name = ""]) => name), "exit_group"];
}

/**
 * The calls that pause makes with the files of the image's `root`, sorted: for its version, for its help, as PID 1
 * through the death of a child that it was started with and SIGTERM, and through SIGTERM with another PID.
 *
 * Throws an InputError if the tracer is not installed, or pause does not exit with 0, as where this machine allows no
 * namespaces to trace it in.
 */
export async function trace(tracer: Tracer, platform: Platform, root: string, folder: string): Promise<string[]> {
  for (const name of ["dev", "proc"]) await mkdir(join(root, name), { recursive: true });
  const found = new Set<string>(tracer === "qemu" ? HIDDEN : []);

  async function run(name: string, args: readonly string[], pidOne = false): Promise<void> {
    const log = join(folder, `${platform.name}-${tracer}-${name}`);
    const words = [...command(tracer, platform, root, log, pidOne), ...args];
    const child = Bun.spawn(words, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    const text = child.stderr.text();
    try {
      if (args.length === 0) await end(child);
      if ((await child.exited) !== 0)
        throw new InputError(`${words.join(" ")}: status ${child.exitCode}: ${await text}`);
    } finally {
      if (child.exitCode === null)
        for (const { pid } of [...descendantsOf(child.pid), child]) process.kill(pid, "SIGKILL");
    }
    for (const call of await callsIn(log, tracer)) found.add(call);
  }

  /** Ends the pause below `child` with SIGTERM once it is ready, after its children if it has any. */
  async function end(child: Bun.Subprocess): Promise<void> {
    const pid = await until("pause to be ready", () => {
      if (child.exitCode !== null) return -1;
      if (tracer === "qemu") return sleepsWithHandlers(status(child.pid)) && child.pid;
      return descendantsOf(child.pid).find(({ pid }) => isReady(pid))?.pid;
    });
    if (pid < 0) return;
    for (const { pid: sleep } of childrenOf(pid)) process.kill(sleep, "SIGKILL");
    await until("its children to be reaped", () => childrenOf(pid).length === 0);
    process.kill(pid, "SIGTERM");
  }

  await run("version", ["-v"]);
  await run("help", ["--help"]);
  // Under the emulator of the machine's own architecture it never gets to wait: the two would share their addresses.
  if (tracer === "strace" || platform !== hostPlatform()) await run("wait", []);
  if (tracer === "strace") await run("reap", [], true);
  return [...found].sort();
}
