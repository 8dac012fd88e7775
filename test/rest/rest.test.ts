/** At rest: one thread, asleep in the kernel, nothing but what the contract shows in /proc. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { isReady, status, until } from "../../scripts/linux/proc.ts";
import { expectUndisturbed } from "../support/quiet.ts";
import { NAMESPACE, OURS, startReady } from "../support/subject.ts";

const ROOT = process.getuid?.() === 0;

describe("at rest", () => {
  for (const pidOne of [true, false]) {
    const missing = pidOne && !NAMESPACE ? ` (skipped: ${NO_PID_NAMESPACE})` : "";
    const who = pidOne ? "PID 1" : "another PID";

    test.skipIf(missing !== "")(
      `${who} shows the contract's masks, one thread and little memory${missing}`,
      async () => {
        const subject = await startReady({ program: OURS }, { pidOne });
        try {
          const now = status(subject.pid);
          expect(now).toMatchObject({
            Name: "pause",
            Threads: "1",
            SigBlk: "0000000000000000",
            SigIgn: "0000000000000000",
            SigCgt: "0000000000014002",
          });
          expect(Number.parseInt(now?.["RssAnon"] ?? "", 10)).toBeLessThanOrEqual(1500);
          // Pause is not dumpable: its descriptors are root's to see.
          if (ROOT) expect(readdirSync(`/proc/${subject.pid}/fd`)).toEqual(["0", "1", "2"]);
          expect(Number.parseInt(now?.["VmRSS"] ?? "", 10)).toBeLessThanOrEqual(4000);
        } finally {
          await subject.kill();
        }
      },
    );
  }
});

test(`at rest ${NAMESPACE ? "neither PID 1 nor another PID" : `no PID but 1 (${NO_PID_NAMESPACE})`} is woken once in 5 s`, () =>
  expectUndisturbed(5));

const inherited = "descriptors that were inherited stay open";
test.skipIf(!ROOT)(ROOT ? inherited : `${inherited} (skipped: needs root)`, async () => {
  // Not through the launcher: its runtime would close them.
  const pause = Bun.spawn(["sh", "-c", 'exec 3</dev/null 7</dev/zero "$0"', OURS], { stderr: "ignore" });
  try {
    await until("pause to be ready", () => isReady(pause.pid));
    const open = ["3", "7"].map((fd) => readlinkSync(`/proc/${pause.pid}/fd/${fd}`));
    expect(open).toEqual(["/dev/null", "/dev/zero"]);
  } finally {
    pause.kill("SIGKILL");
  }
});
