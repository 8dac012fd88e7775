/**
 * Starts a program once for each set of signals that it may inherit as blocked, pending and not, and prints what it makes
 * of them as JSON. Run as `bun masks.ts PROGRAM`, behind launch.ts, which may put a seccomp filter on all of it: one
 * Bun for all cases, where one for each would take ten times as long.
 */
import { dlopen, ptr } from "bun:ffi";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wait } from "../../scripts/bench/spawn.ts";
import { HANDLED_MASK, status } from "../../scripts/linux/proc.ts";
import { SETTABLE, SIGKILL, SIGTERM } from "../../scripts/linux/signals.ts";
import { IGNORED_BY_BUN, signalSet } from "./signals.ts";

/** spawn.h: signals to set to their default, and a mask; open(2): O_RDWR. */
const [POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK, O_RDWR] = [4, 8, 2];

const { symbols: libc } = dlopen("libc.so.6", {
  posix_spawn: { args: ["ptr", "cstring", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  posix_spawn_file_actions_addclosefrom_np: { args: ["ptr", "i32"], returns: "i32" },
  posix_spawn_file_actions_adddup2: { args: ["ptr", "i32", "i32"], returns: "i32" },
  posix_spawn_file_actions_addopen: { args: ["ptr", "i32", "cstring", "i32", "u32"], returns: "i32" },
  posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
  posix_spawnattr_init: { args: ["ptr"], returns: "i32" },
  posix_spawnattr_setflags: { args: ["ptr", "i16"], returns: "i32" },
  posix_spawnattr_setsigdefault: { args: ["ptr", "ptr"], returns: "i32" },
  posix_spawnattr_setsigmask: { args: ["ptr", "ptr"], returns: "i32" },
});

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

/**
 * Starts `program` with `blocked` as its mask, and pending if so said. A shell sends itself the signals, and they
 * outlive execve(2).
 *
 * `posix_spawn_file_actions_t` is 80 bytes, `posix_spawnattr_t` 336: spawn.h.
 */
function spawn(program: string, blocked: readonly number[], pending: boolean, stderr: number): number {
  const script = `${pending ? `for n in ${blocked.join(" ")}; do kill -$n $$; done; ` : ""}exec "$0"`;
  const strings = ["/bin/sh", "-c", script, program].map((text) => Buffer.from(`${text}\0`));
  const [sh] = strings;
  const argv = BigUint64Array.from([...strings.map((text) => BigInt(ptr(text))), 0n]);
  const environment = new BigUint64Array(1);
  const actions = new Uint8Array(80);
  libc.posix_spawn_file_actions_init(actions);
  const nothing = Buffer.from("/dev/null\0");
  for (const fd of [0, 1]) libc.posix_spawn_file_actions_addopen(actions, fd, nothing, O_RDWR, 0);
  libc.posix_spawn_file_actions_adddup2(actions, stderr, 2);
  libc.posix_spawn_file_actions_addclosefrom_np(actions, 3);
  const attributes = new Uint8Array(336);
  libc.posix_spawnattr_init(attributes);
  libc.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  libc.posix_spawnattr_setsigdefault(attributes, signalSet(...IGNORED_BY_BUN));
  libc.posix_spawnattr_setsigmask(attributes, signalSet(...blocked));
  const pid = new Int32Array(1);
  if (libc.posix_spawn(pid, sh as Buffer, actions, attributes, argv, environment) !== 0) throw new Error("no shell");
  return pid[0] as number;
}

/** Waits until the process sleeps with its handlers installed, and returns its status then. Its mask says nothing here. */
function ready(pid: number): Readonly<Record<string, string>> {
  const deadline = performance.now() + 60_000;
  for (let asleep = 0; performance.now() < deadline; ) {
    const now = status(pid) ?? {};
    const caught = BigInt(`0x${now["SigCgt"] || "0"}`);
    if (now["State"]?.startsWith("Z")) return now;
    // Twice, for the lines are not of one moment. Alone, it sleeps for no other thread of its own.
    const alone = now["State"]?.startsWith("S") && now["Threads"] === "1";
    asleep = alone && (caught & HANDLED_MASK) === HANDLED_MASK ? asleep + 1 : 0;
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
  const now = ready(pid);
  const kept = blocked.includes(SIGTERM);
  process.kill(pid, SIGTERM);
  const waits =
    kept && ((BigInt(`0x${status(pid)?.["ShdPnd"] || "0"}`) >> BigInt(SIGTERM - 1)) & 1n) === 1n && status(pid);
  if (kept) process.kill(pid, SIGKILL);
  const ended = wait(pid);
  return {
    blocked: now["SigBlk"],
    // posix_spawn(3) may hand down 32 and 33, which are its own, as ignored.
    ignored: (BigInt(`0x${now["SigIgn"] || "0"}`) & ~(3n << 31n)).toString(16),
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
