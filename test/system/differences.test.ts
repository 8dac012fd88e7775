/** Of scripts/differences.ts, what takes root and a cgroup: SIGTERM to PID 1 that comes too early, where processor time is scarce. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { processor } from "../../scripts/linux/cgroup.ts";
import { isReady, mask, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { TERMINATED } from "../support/output.ts";
import { NEEDS_PID_ONE, NEEDS_ROOT, testIf } from "../support/skip.ts";
import { OURS, start } from "../support/subject.ts";

/** Starts that are tried until one is seen in time: it waits for most of a second, which a busy machine may miss. */
const ATTEMPTS = 20;

const probe = processor();
probe?.remove();
const NO_QUOTA = probe ? undefined : "no cgroup can be made here that limits processor time";

testIf(
  NEEDS_ROOT ?? NEEDS_PID_ONE ?? NO_QUOTA,
  "SIGTERM is dropped while a quota keeps PID 1 from starting",
  async () => {
    const cgroup = processor();
    if (!cgroup) throw new Error(NO_QUOTA);
    try {
      let seen = false;
      for (let attempt = 0; attempt < ATTEMPTS && !seen; attempt++) {
        // A thousandth: a start needs that of three seconds.
        cgroup.quota(1000);
        const before = cgroup.throttled();
        const subject = await start({ program: OURS, cgroup: cgroup.procs }, { pidOne: true });
        try {
          await until("the quota to be used up", () => cgroup.throttled() > before || isReady(subject.pid));
          const term = 1n << BigInt(SIGTERM - 1);
          const early = () => {
            const now = status(subject.pid);
            return (mask(now, "SigCgt") & term) === 0n && (mask(now, "SigBlk") & term) === 0n;
          };
          if (early() && readFileSync(`/proc/${subject.pid}/comm`, "utf8") === "pause\n") {
            subject.send(SIGTERM);
            // Still early: it was so when the signal came.
            seen = early();
          }
          cgroup.quota(1_000_000);
          if (seen) {
            await until("it to be ready all the same", () => isReady(subject.pid));
            subject.send(SIGTERM);
            expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
          }
        } finally {
          await subject.kill();
        }
      }
      expect(seen).toBe(true);
    } finally {
      cgroup.remove();
    }
  },
);
