/**
 * Starts a program once for each set of signals that it may inherit as blocked, pending and not, and prints what it makes
 * of them as JSON. Run as `bun masks.ts PROGRAM`, behind launch.ts, which may put a seccomp filter on all of it: one
 * Bun for all cases, where one for each would take ten times as long.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mask, type Status, sleepsWithHandlers, status } from "../../scripts/linux/proc.ts";
import { SETTABLE, SIGKILL, SIGTERM } from "../../scripts/linux/signals.ts";
import { command, wait } from "../../scripts/linux/spawn.ts";

/** What is compared: the masks at rest, as `/proc/PID/status` has them, and what a SIGTERM does then. */
export interface Masked {
  readonly blocked: string | undefined;
  readonly ignored: string;
  readonly caught: string | undefined;
  /** Of the thread and of the process. */
  readonly pending: readonly (string | undefined)[];
  /** Whether SIGTERM waits, as it does where it is blocked. */
  readonly terminated: "waits" | "ends it";
  /** Wait status: waitpid(2). */
  readonly status: number;
  readonly stderr: string;
}

/** Starts `program` with `blocked` as its mask, and pending if so said: a shell sends itself the signals, and they outlive execve(2). */
function spawn(program: string, blocked: readonly number[], pending: boolean, stderr: number): number {
  const script = `${pending ? `for n in ${blocked.join(" ")}; do kill -$n $$; done; ` : ""}exec "$0"`;
  return command(["/bin/sh", "-c", script, program], { blocked, stderr }).spawn();
}

/** A mask of `/proc/PID/status` of which `signals` are the bits. */
const maskOf = (signals: readonly number[]): bigint =>
  signals.reduce((bits, signal) => bits | (1n << BigInt(signal - 1)), 0n);

/**
 * Waits until the process sleeps with its handlers installed and with the mask that it inherited, `blocked`: on the way it
 * holds more back. Returns its status then.
 */
function atRest(pid: number, blocked: readonly number[]): Status {
  const deadline = performance.now() + 60_000;
  for (let asleep = 0; performance.now() < deadline; ) {
    const now = status(pid) ?? {};
    if (now["State"]?.startsWith("Z")) return now;
    // Twice, for the lines are not of one moment. Alone, it sleeps for no other thread of its own.
    const alone = sleepsWithHandlers(now) && now["Threads"] === "1";
    asleep = alone && mask(now, "SigBlk") === maskOf(blocked) ? asleep + 1 : 0;
    if (asleep > 1) return now;
    Bun.sleepSync(asleep > 0 ? 0.1 : 0.5);
  }
  throw new Error(`process ${pid} neither sleeps nor ends`);
}

/** Runs one case. */
function observe(program: string, blocked: readonly number[], pending: boolean, log: string): Masked {
  const stderr = openSync(log, "w");
  const pid = spawn(program, blocked, pending, stderr);
  closeSync(stderr);
  const now = atRest(pid, blocked);
  const kept = blocked.includes(SIGTERM);
  process.kill(pid, SIGTERM);
  const waits = kept && ((mask(status(pid), "ShdPnd") >> BigInt(SIGTERM - 1)) & 1n) === 1n;
  if (kept) process.kill(pid, SIGKILL);
  const ended = wait(pid);
  return {
    blocked: now["SigBlk"],
    // posix_spawn(3) may hand down 32 and 33, which are its own, as ignored.
    ignored: (mask(now, "SigIgn") & ~(3n << 31n)).toString(16),
    caught: now["SigCgt"],
    pending: [now["SigPnd"], now["ShdPnd"]],
    terminated: waits ? "waits" : "ends it",
    status: ended.status,
    stderr: readFileSync(log, "utf8"),
  };
}

if (import.meta.main) {
  const program = process.argv[2] ?? "";
  const folder = mkdtempSync(join(tmpdir(), "pause-masks-"));
  const observations: Record<string, Masked> = {};
  try {
    const sets = [[], ...SETTABLE.map((signal) => [signal]), SETTABLE];
    for (const blocked of sets) {
      const name = blocked.length > 1 ? "all" : (blocked[0] ?? "none");
      for (const pending of blocked.length > 0 ? [false, true] : [false]) {
        const key = `${name} blocked${pending ? " and pending" : ""}`;
        observations[key] = observe(program, blocked, pending, join(folder, "stderr"));
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  process.stdout.write(JSON.stringify(observations));
}
