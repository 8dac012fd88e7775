/** The machine's wall clock, moved: adjtimex(2). */
import { dlopen } from "bun:ffi";
import { atExit } from "../linux/interrupt.ts";

/** Adds to the time instead of setting it, so that moving to and fro loses nothing: linux/timex.h. */
const ADJ_SETOFFSET = 0x100;

const { symbols: libc } = dlopen("libc.so.6", { adjtimex: { args: ["ptr"], returns: "i32" } });

/**
 * Moves the clock by `seconds`, ahead or back, and tells whether that is allowed, which takes CAP_SYS_TIME.
 * `struct timex` is 208 bytes: `modes` at 0 (4), `time.tv_sec` at 72 (8), `time.tv_usec` at 80 (8).
 */
export function moveClock(seconds: number): boolean {
  const change = new BigInt64Array(26);
  change[0] = BigInt(ADJ_SETOFFSET);
  change[9] = BigInt(seconds);
  return libc.adjtimex(change) >= 0;
}

/** Does `task` with the clock moved by `seconds`, and moves it back, also when a signal ends this process. */
export async function withClockMoved<T>(seconds: number, task: () => Promise<T>): Promise<T> {
  const back = () => void moveClock(-seconds);
  moveClock(seconds);
  atExit(back);
  try {
    return await task();
  } finally {
    process.off("exit", back);
    back();
  }
}
