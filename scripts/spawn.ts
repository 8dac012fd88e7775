/** Starts processes with as little in between as possible, for timing: posix_spawn(3) and a blocking waitpid(2). */
import { dlopen, ptr } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  posix_spawn: { args: ["ptr", "cstring", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
  posix_spawn_file_actions_addopen: { args: ["ptr", "i32", "cstring", "i32", "u32"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
});

/** A program and its arguments, laid out once, ready to be started many times with empty standard streams and no environment. */
export interface Command {
  /** Starts it and returns its PID. Throws when it cannot be started. */
  spawn(): number;
}

/** O_RDWR of open(2). */
const O_RDWR = 2;

/** Lays out a command: `struct posix_spawn_file_actions_t` is 80 bytes, spawn.h. */
export function command(program: string, ...args: readonly string[]): Command {
  const strings = [program, ...args].map((text) => Buffer.from(`${text}\0`));
  const argv = BigUint64Array.from([...strings.map((text) => BigInt(ptr(text))), 0n]);
  const environment = new BigUint64Array(1);
  const actions = new Uint8Array(80);
  libc.posix_spawn_file_actions_init(actions);
  for (const fd of [0, 1, 2]) libc.posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
  const pid = new Int32Array(1);
  return {
    spawn() {
      // `strings` is named here to keep what argv points to alive.
      if (libc.posix_spawn(pid, program, actions, null, argv, environment) !== 0 || !strings[0]) {
        throw new Error(`cannot start ${program}`);
      }
      return pid[0] as number;
    },
  };
}

/** Waits for the process to end and returns its wait status: waitpid(2). */
export function wait(pid: number): number {
  const status = new Int32Array(1);
  if (libc.waitpid(pid, status, 0) !== pid) throw new Error(`no child ${pid}`);
  return status[0] as number;
}
