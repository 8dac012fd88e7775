/** Ends this process in order, also by a signal: what it has started first, then all that listens for its exit. */
import { dlopen } from "bun:ffi";
import { constants } from "node:os";
import { descendantsOf, mask, status } from "./proc.ts";

/** The signals by which a user, a terminal or a service manager ends a command. */
const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;

const { prctl } = dlopen("libc.so.6", { prctl: { args: ["i32", "u64"], returns: "i32" } }).symbols;

/** Makes this process the parent of orphans among its descendants: linux/prctl.h. */
const PR_SET_CHILD_SUBREAPER = 36;

/** The longest that killed processes are waited for, in milliseconds. */
const PATIENCE = 10_000;

let prepared = false;

/** Kills all that this process has started and waits until it has ended. */
function endDescendants(): void {
  // The child of one that forks while it is killed becomes a child of this process.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const deadline = performance.now() + PATIENCE;
  while (performance.now() < deadline) {
    const living = descendantsOf(process.pid).filter(({ state }) => state !== "Z");
    if (living.length === 0) return;
    for (const { pid } of living) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    Bun.sleepSync(1);
  }
}

/** Ends this process by `signal`, after what listens for its exit. */
function end(signal: (typeof SIGNALS)[number]): void {
  process.on("exit", () => {
    process.removeAllListeners(signal);
    // PID 1 of a namespace survives that, and exits.
    process.kill(process.pid, signal);
  });
  process.exit(128 + constants.signals[signal]);
}

/**
 * Has `task` done when this process exits, as process.on("exit") does, but also when SIGHUP, SIGINT or SIGTERM ends it,
 * and only after all that it started has ended. A signal that was ignored at the start, as by nohup(1), stays ignored.
 * process.off("exit", task) takes it back.
 */
export function atExit(task: () => void): void {
  if (!prepared) {
    prepared = true;
    process.on("exit", endDescendants);
    const ignored = mask(status(process.pid), "SigIgn");
    for (const signal of SIGNALS) {
      if (((ignored >> BigInt(constants.signals[signal] - 1)) & 1n) === 0n) process.on(signal, end);
    }
  }
  if (!process.listeners("exit").includes(task)) process.on("exit", task);
}
