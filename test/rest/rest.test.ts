/** At rest: one thread, asleep in the kernel, nothing but what the contract shows in /proc. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import {
  CHLD_IGNORED,
  contextSwitches,
  isReady,
  NO_SIGNALS,
  status,
  TWO_HANDLERS,
  until,
} from "../../scripts/linux/proc.ts";
import { PR_SET_DUMPABLE, PRCTL } from "../support/calls.ts";
import { NEEDS_PID_ONE, NEEDS_PTRACE, testUnless } from "../support/skip.ts";
import { OURS, type Subject, startReady, whileRunning } from "../support/subject.ts";

async function expectThreeDescriptors({ pid }: Subject): Promise<void> {
  expect(readdirSync(`/proc/${pid}/fd`).sort()).toEqual(["0", "1", "2"]);
}

describe("at rest", () => {
  for (const pidOne of [true, false]) {
    const who = pidOne ? "PID 1" : "another PID";
    const start = () => startReady({ program: OURS }, { pidOne });

    testUnless(pidOne && NEEDS_PID_ONE, `${who} shows the contract's masks, its lock and one thread`, () =>
      whileRunning(start(), async (subject) => {
        const now = status(subject.pid);
        expect(now).toMatchObject({
          Name: "pause",
          Threads: "1",
          SigBlk: NO_SIGNALS,
          SigIgn: CHLD_IGNORED,
          SigCgt: TWO_HANDLERS,
          NoNewPrivs: "1",
          Seccomp: "2",
        });
      }),
    );
    testUnless(pidOne && NEEDS_PID_ONE, `${who} is not woken once in 5 s`, () =>
      whileRunning(start(), async ({ pid }) => {
        // On a busy machine it may take its time to fall asleep.
        const before = await until("a second of rest", async () => {
          const count = contextSwitches(pid);
          await Bun.sleep(1000);
          return count === contextSwitches(pid) && count;
        });
        await Bun.sleep(5000);
        expect(contextSwitches(pid)).toBe(before);
      }),
    );
    // Pause is not dumpable: only root may see its descriptors.
    testUnless((pidOne && NEEDS_PID_ONE) || NEEDS_PTRACE, `${who} has three descriptors`, () =>
      whileRunning(start(), expectThreeDescriptors),
    );
  }

  test("another PID that stays dumpable, for the kernel refuses to change that, has three descriptors", () =>
    whileRunning(startReady({ program: OURS, refused: [[PRCTL, PR_SET_DUMPABLE]] }), expectThreeDescriptors));
});

testUnless(NEEDS_PTRACE, "descriptors that were inherited stay open", async () => {
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
