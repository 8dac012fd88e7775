/** The lock: tight against the process itself, and a warning where the kernel does not allow it. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PRCTL } from "../support/calls.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { OURS, start, startReady } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

/** One beyond the highest call number of Linux 6.18 (asm/unistd.h), with room for what comes. */
const CALLS = 600;
const A_FEW = 20;

test("from inside, every system call but those of the wait and the end is refused", async () => {
  const program = join(temporary("breakout"), "breakout");
  await Bun.build({
    entrypoints: [join(import.meta.dir, "..", "support", "breakout.ts")],
    target: "bun",
    compile: { outfile: program },
  });
  let did = "";
  // A few calls a run: after the lock JavaScriptCore can get neither threads nor memory, and would miss them when warm.
  for (let call = 0; call < CALLS; call += A_FEW) {
    const { exit, stderr } = await (await start({ program, args: [`${call}`, `${call + A_FEW}`] })).ended();
    expect({ call, exit }).toEqual({ call, exit: 0 });
    did += stderr;
  }
  // munmap and madvise of nothing, sigprocmask with nonsense: allowed, and an error of their own.
  expect(did).toBe(process.arch === "arm64" ? "135 215 233 " : "11 14 28 ");
});

describe("where the kernel refuses a measure, it says so and runs on", () => {
  for (const [name, option] of Object.entries({
    no_new_privs: PR_SET_NO_NEW_PRIVS,
    dumpable: PR_SET_DUMPABLE,
    seccomp: PR_SET_SECCOMP,
  })) {
    test(name, async () => {
      const subject = await startReady({ program: OURS, refused: [[PRCTL, option]] });
      subject.send(SIGTERM);
      const { exit, stderr } = await subject.ended();
      expect(exit).toBe(0);
      expect(stderr).toBe(`${NOT_FIRST}Warning: running unlocked: the kernel refused ${name}\n${TERMINATED}`);
    });
  }
});
