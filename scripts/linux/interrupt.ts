/** What is undone when a signal ends this process. */
import { constants } from "node:os";
import { childrenOf, status, until } from "./proc.ts";

/** The signals by which a user, a terminal or a service manager ends a command. */
const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;

/** What is to undo, oldest first: before all else, and thus last, what this process has started is ended. */
const undos = new Set<() => unknown>([endDescendants]);

let listening = false;
let ending = false;

/** Whether such a signal has come: what fails from now on fails because of it. */
export function isInterrupted(): boolean {
  return ending;
}

/** The processes below `pid` that have not ended. */
function descendantsOf(pid: number): number[] {
  const living = childrenOf(pid).filter(({ state }) => state !== "Z");
  return living.flatMap((child) => [child.pid, ...descendantsOf(child.pid)]);
}

/** Kills all that this process has started and waits until it has ended. */
export async function endDescendants(): Promise<void> {
  await until("all processes to end", () => {
    const living = descendantsOf(process.pid);
    for (const pid of living) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    return living.length === 0;
  });
}

/** Undoes everything, latest first, and ends as if the signal had not been handled. */
async function end(signal: (typeof SIGNALS)[number]): Promise<void> {
  // Once only: npm passes on what the terminal has sent to the whole group already.
  if (ending) return;
  ending = true;
  // Whoever waits for what is ended now need not say so.
  process.on("unhandledRejection", () => {});
  for (const undo of [...undos].reverse()) {
    try {
      // One that is undone may take another back.
      if (undos.has(undo)) await undo();
    } catch {
      // The others are to be undone all the same.
    }
  }
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // PID 1 of a namespace survives that.
  process.exit(128 + constants.signals[signal]);
}

/**
 * Makes SIGHUP, SIGINT and SIGTERM end this process only after it has undone everything given to onInterrupt and has ended
 * all that it started. One that was ignored when the process started, as by nohup(1), stays ignored.
 */
export function handleInterrupts(): void {
  if (listening) return;
  listening = true;
  const ignored = BigInt(`0x${status(process.pid)?.["SigIgn"] ?? 0}`);
  for (const signal of SIGNALS) {
    if (((ignored >> BigInt(constants.signals[signal] - 1)) & 1n) === 0n) process.on(signal, end);
  }
}

/**
 * Has `undo` called, and awaited, when a signal ends this process. See handleInterrupts.
 *
 * @returns takes that back
 */
export function onInterrupt(undo: () => unknown): () => void {
  handleInterrupts();
  undos.add(undo);
  return () => undos.delete(undo);
}

/** Does `task`, and then `undo`, once: also when a signal ends this process. */
export async function undoing<T>(undo: () => unknown, task: () => Promise<T>): Promise<T> {
  const once = onceOnly(undo);
  const forget = onInterrupt(once);
  try {
    return await task();
  } finally {
    await once();
    forget();
  }
}

/** `task`, done at the first call; each call gives the promise of that. */
export function onceOnly(task: () => unknown): () => Promise<unknown> {
  let done: Promise<unknown> | undefined;
  return () => {
    done ??= (async () => task())();
    return done;
  };
}
