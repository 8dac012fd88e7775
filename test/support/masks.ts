/**
 * Starts a program once for each set of signals that it may inherit as blocked, not pending and pending, and prints the
 * outcomes as JSON: two tables by signal, 0 for none and 65 for all. Run as `bun masks.ts PROGRAM`, behind launch.ts, which
 * may install a seccomp filter for all of it. One Bun for each case would take ten times as long.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withFolder } from "../../scripts/linux/folder.ts";
import { mask, type Status, sleepsWithHandlers, status } from "../../scripts/linux/proc.ts";
import { SETTABLE, SIGCHLD, SIGKILL, SIGTERM } from "../../scripts/linux/signals.ts";
import { command, wait } from "../../scripts/linux/spawn.ts";
import { bySignals } from "./outcomes.ts";

/** Starts `program` with `blocked` as its mask, and pending or not: a shell sends itself the signals, and they outlive execve(2). */
function spawn(program: string, blocked: readonly number[], pending: boolean, stderr: number): number {
  const script = `${pending ? `for n in ${blocked.join(" ")}; do kill -$n $$; done; ` : ""}exec "$0"`;
  return command(["/bin/sh", "-c", script, program], { blocked, stderr }).spawn();
}

/** The mask in `/proc/PID/status` that holds `signals`. */
const maskOf = (signals: readonly number[]): bigint =>
  signals.reduce((bits, signal) => bits | (1n << BigInt(signal - 1)), 0n);

/** Waits until the process sleeps with its handlers installed and with the mask that it inherited, and returns its status. */
function atRest(pid: number, blocked: readonly number[]): Status {
  const deadline = performance.now() + 60_000;
  for (let asleep = 0; performance.now() < deadline; ) {
    const now = status(pid) ?? {};
    if (now["State"]?.startsWith("Z")) return now;
    // Twice, for the lines are not of one moment. With other threads it may be waiting for one of them.
    const alone = sleepsWithHandlers(now) && now["Threads"] === "1";
    asleep = alone && mask(now, "SigBlk") === maskOf(blocked) ? asleep + 1 : 0;
    if (asleep > 1) return now;
    Bun.sleepSync(asleep > 0 ? 0.1 : 0.5);
  }
  throw new Error(`process ${pid} neither sleeps nor ends`);
}

/** Runs one case and returns the facts that are compared. The mask at rest must be the one inherited; SIGCHLD is left out. */
function observe(program: string, blocked: readonly number[], pending: boolean, log: string) {
  const stderr = openSync(log, "w");
  const pid = spawn(program, blocked, pending, stderr);
  closeSync(stderr);
  const now = atRest(pid, blocked);
  const kept = blocked.includes(SIGTERM);
  process.kill(pid, SIGTERM);
  const waits = kept && ((mask(status(pid), "ShdPnd") >> BigInt(SIGTERM - 1)) & 1n) === 1n;
  if (kept) process.kill(pid, SIGKILL);
  // posix_spawn(3) may hand down 32 and 33, which are its own, as ignored. SIGCHLD is a row of the table of differences.
  const all = (field: string) => mask(now, field) & ~maskOf([32, 33, SIGCHLD]);
  return {
    ignored: all("SigIgn").toString(16),
    caught: all("SigCgt").toString(16),
    // True if the signals handed down as pending still are, and no others.
    pending: (all("SigPnd") | all("ShdPnd")) === (pending ? maskOf(blocked) & ~maskOf([SIGCHLD]) : 0n),
    terminated: waits ? "waits" : "ends it",
    status: wait(pid).status,
    stderr: readFileSync(log, "utf8"),
  };
}

/** Numbers for the sets of no signal and of all signals. */
const [NONE, ALL] = [0, 65];

if (import.meta.main) {
  const program = process.argv[2] ?? "";
  await withFolder(tmpdir(), (folder) => {
    const sets = [[], ...SETTABLE.map((signal) => [signal]), SETTABLE];
    const answers = [false, true].map((pending) => {
      const cases = sets.map((blocked) => {
        const number = blocked.length > 1 ? ALL : (blocked[0] ?? NONE);
        return [number, observe(program, blocked, pending, join(folder, "stderr"))] as const;
      });
      return bySignals(new Map(cases));
    });
    process.stdout.write(JSON.stringify(answers));
  });
}
