/** A signal that comes while the program starts is held from its first instruction on, and acted on by its handler. */
import { expect } from "bun:test";
import { hasEnded, isReady, mask, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { OURS, start, whileRunning } from "../support/subject.ts";

/** True if the process `pid` is pause, holds SIGTERM back and has no handler for it yet. */
function isHolding(pid: number): boolean {
  const now = status(pid);
  const has = (field: string) => ((mask(now, field) >> BigInt(SIGTERM - 1)) & 1n) === 1n;
  // By name: the launcher, which the process was before, may block signals too.
  return now?.["Name"] === "pause" && has("SigBlk") && !has("SigCgt");
}

for (const pidOne of [false, true]) {
  /** Sends SIGTERM during a start, which must end it. True if it still had no handler after that. */
  const terminatedEarly = () =>
    whileRunning(start({ program: OURS }, { pidOne }), async (subject) => {
      while (!isHolding(subject.pid)) {
        // Too late: the next start may be seen in time.
        if (isReady(subject.pid) || hasEnded(subject.pid)) return false;
        Bun.sleepSync(0.05);
      }
      subject.send(SIGTERM);
      const early = isHolding(subject.pid);
      const stderr = pidOne ? TERMINATED : NOT_FIRST + TERMINATED;
      expect(await subject.ended()).toEqual({ exit: 0, signal: null, stdout: "", stderr });
      return early;
    });
  testUnless(
    pidOne && NEEDS_PID_ONE,
    `SIGTERM to ${pidOne ? "PID 1" : "another PID"} that has no handler yet`,
    async () => {
      await until("a start that is seen in time", terminatedEarly, 240);
    },
  );
}
