/** Starts processes with as little in between as possible: posix_spawn(3) and a blocking wait4(2). */
import { dlopen, ptr } from "bun:ffi";
import { IGNORED_BY_BUN, signalSet } from "./signals.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  posix_spawn: { args: ["ptr", "cstring", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  posix_spawn_file_actions_addclosefrom_np: { args: ["ptr", "i32"], returns: "i32" },
  posix_spawn_file_actions_addopen: { args: ["ptr", "i32", "cstring", "i32", "u32"], returns: "i32" },
  posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
  posix_spawnattr_init: { args: ["ptr"], returns: "i32" },
  posix_spawnattr_setflags: { args: ["ptr", "i16"], returns: "i32" },
  posix_spawnattr_setsigdefault: { args: ["ptr", "ptr"], returns: "i32" },
  wait4: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
});

/** spawn.h: signals to set to their default, and a mask, which is empty at first; open(2): O_RDWR. */
const [POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK, O_RDWR] = [4, 8, 2];

/**
 * Lays out a command: the program's path and its arguments. `posix_spawn_file_actions_t` is 80 bytes,
 * `posix_spawnattr_t` 336 (spawn.h).
 *
 * @returns starts it, as often as it is called, without an environment and with `/dev/null` for its streams, and returns its
 *   PID; throws when it cannot be started
 */
export function command(words: readonly [string, ...string[]]): () => number {
  const strings = words.map((text) => Buffer.from(`${text}\0`));
  const argv = BigUint64Array.from([...strings.map((text) => BigInt(ptr(text))), 0n]);
  const environment = new BigUint64Array(1);
  const actions = new Uint8Array(80);
  libc.posix_spawn_file_actions_init(actions);
  for (const fd of [0, 1, 2]) libc.posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
  // Bun, which runs this process, has a descriptor that it hands down (/dev/urandom).
  libc.posix_spawn_file_actions_addclosefrom_np(actions, 3);
  const attributes = new Uint8Array(336);
  libc.posix_spawnattr_init(attributes);
  libc.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  libc.posix_spawnattr_setsigdefault(attributes, signalSet(...IGNORED_BY_BUN));
  const pid = new Int32Array(1);
  return () => {
    // By way of `strings`, which keeps what argv points to alive.
    const program = strings[0] as Buffer;
    if (libc.posix_spawn(pid, program, actions, attributes, argv, environment) !== 0) {
      throw new Error(`cannot start ${words[0]}`);
    }
    return pid[0] as number;
  };
}

/** The end of a process and its cost. */
export interface Ended {
  /** Its wait status: waitpid(2). */
  readonly status: number;
  /** User and system time, in milliseconds. */
  readonly cpu: number;
  /** Page faults, with and without reading from disk. */
  readonly faults: number;
}

/**
 * Waits for the process to end: wait4(2).
 * In `struct rusage` (144 bytes, bits/types/struct_rusage.h) lie user time at 0 and system time at 16, each as seconds
 * and microseconds, and minor and major faults at 64.
 */
export function wait(pid: number): Ended {
  const status = new Int32Array(1);
  const usage = new BigInt64Array(18);
  if (libc.wait4(pid, status, 0, usage) !== pid) throw new Error(`no child ${pid}`);
  const at = (word: number) => Number(usage[word]);
  return {
    status: status[0] as number,
    cpu: (at(0) + at(2)) * 1000 + (at(1) + at(3)) / 1000,
    faults: at(8) + at(9),
  };
}
