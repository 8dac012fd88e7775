/** At rest: one thread, asleep in the kernel, nothing but what the contract shows in /proc. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { isReady, NO_SIGNALS, status, THREE_HANDLERS, until } from "../../scripts/linux/proc.ts";
import { expectUndisturbed } from "../support/quiet.ts";
import { IS_ROOT, NEEDS_PID_ONE, NEEDS_ROOT, testIf } from "../support/skip.ts";
import { OURS, startReady, whileRunning } from "../support/subject.ts";

describe("at rest", () => {
  for (const pidOne of [true, false]) {
    const who = pidOne ? "PID 1" : "another PID";

    testIf(pidOne && NEEDS_PID_ONE, `${who} shows the contract's masks, one thread and little memory`, () =>
      whileRunning(startReady({ program: OURS }, { pidOne }), async (subject) => {
        const now = status(subject.pid);
        expect(now).toMatchObject({
          Name: "pause",
          Threads: "1",
          SigBlk: NO_SIGNALS,
          SigIgn: NO_SIGNALS,
          SigCgt: THREE_HANDLERS,
        });
        expect(Number.parseInt(now?.["RssAnon"] ?? "", 10)).toBeLessThanOrEqual(1500);
        // Pause is not dumpable: its descriptors are root's to see.
        if (IS_ROOT) expect(readdirSync(`/proc/${subject.pid}/fd`)).toEqual(["0", "1", "2"]);
        expect(Number.parseInt(now?.["VmRSS"] ?? "", 10)).toBeLessThanOrEqual(4000);
      }),
    );
  }
});

test(`another PID${NEEDS_PID_ONE ? "" : " and PID 1"} at rest: not woken once in 5 s${NEEDS_PID_ONE ? ` (PID 1 is skipped: ${NEEDS_PID_ONE})` : ""}`, () =>
  expectUndisturbed(5));

testIf(NEEDS_ROOT, "descriptors that were inherited stay open", async () => {
  // Not through the launcher: Bun would close them.
  const pause = Bun.spawn(["sh", "-c", 'exec 3</dev/null 7</dev/zero "$0"', OURS], { stderr: "ignore" });
  try {
    await until("pause to be ready", () => isReady(pause.pid));
    const open = ["3", "7"].map((fd) => readlinkSync(`/proc/${pause.pid}/fd/${fd}`));
    expect(open).toEqual(["/dev/null", "/dev/zero"]);
  } finally {
    pause.kill("SIGKILL");
  }
});
