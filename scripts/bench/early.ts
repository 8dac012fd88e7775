/** Early SIGTERMs: a PID 1 that neither handles nor blocks a signal yet never gets it. */
import { readFileSync } from "node:fs";
import { InputError } from "../command/report.ts";
import { NO_PID_NAMESPACE, type PidNamespace, pidNamespace } from "../linux/namespace.ts";
import { childrenOf, hasEnded, mask, showsReady, status, until } from "../linux/proc.ts";
import type { Program } from "./programs.ts";
import { interleaved } from "./statistics.ts";

/** Milliseconds after execve(2) at which SIGTERM is sent. */
export const DELAYS: readonly number[] = [0, 0.25, 0.5, 1, 2, 3, 4, 6];

/** Waits for a line, enters a cgroup, if one is given, and becomes the program. */
const START = 'read -r _; [ -z "$0" ] || echo 0 >"$0"; exec "$@"';

/** Milliseconds between two looks, to which the kernel adds some 0.05. */
const LOOK = 0.01;

/**
 * Has a pause become PID 1 of a new namespace and sends it SIGTERM `delay` ms later. True if that is lost: it is ready
 * in the end.
 */
async function losesSigterm(
  { path, args }: Program,
  delay: number,
  cgroup: string,
  namespace: PidNamespace,
): Promise<boolean> {
  const command = [...namespace.command, "sh", "-c", START, cgroup, path, ...args];
  const parent = Bun.spawn(command, { stdin: "pipe", stdout: "ignore", stderr: "ignore" });
  try {
    // On its way to this PID 1 is a shell as well.
    const isShell = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`sh\0-c\0${START}`);
    const { pid } = await until("the shell", () => childrenOf(parent.pid).find(({ pid }) => isShell(pid)));
    parent.stdin.write("\n");
    await parent.stdin.flush();
    while (readFileSync(`/proc/${pid}/comm`, "utf8") === "sh\n") Bun.sleepSync(LOOK);
    const due = performance.now() + delay;
    while (performance.now() < due) Bun.sleepSync(LOOK);
    process.kill(pid, "SIGTERM");
    const seen = await until("SIGTERM to end it or to be lost", () => {
      const now = status(pid);
      return hasEnded(pid) ? "ended" : showsReady(now) && mask(now, "ShdPnd") === 0n && "ready";
    });
    return seen === "ready";
  } finally {
    parent.kill("SIGKILL");
    await parent.exited;
  }
}

/**
 * Sends each of `programs`, pauses all, `rounds` SIGTERMs for each delay, in turns.
 *
 * @param cgroup the file by which a process enters the cgroup that the programs are started in
 * @returns how many are lost, by program and delay, in order
 * @throws InputError where no PID namespace can be made
 */
export async function lostSigterms(programs: readonly Program[], rounds: number, cgroup = ""): Promise<number[][]> {
  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  const tries = DELAYS.flatMap((delay) => programs.map((it) => () => losesSigterm(it, delay, cgroup, namespace)));
  const lost = (await interleaved("early SIGTERMs", tries, rounds)).map((all) => all.filter(Boolean).length);
  return programs.map((_, index) => lost.filter((_, at) => at % programs.length === index));
}
