/** What root sees of a PID 1, seen by anybody: of one that the kernel does not let lock, of a parent, and of a subreaper. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { childrenOf, isReady, until } from "../../scripts/linux/proc.ts";
import { noneLeft } from "../support/burst.ts";
import { PR_SET_DUMPABLE, PRCTL } from "../support/calls.ts";
import { OURS, startReady, whileRunning } from "../support/subject.ts";

/** A process's children are closed off from the tests' pipes, which they would keep open. */
const BACKGROUND = "</dev/null >/dev/null 2>&1 & :";

describe("dumpable, because the kernel refuses to make it otherwise", () => {
  const launch = { program: OURS, refused: [[PRCTL, PR_SET_DUMPABLE]] as const };

  /** What is mapped once the executable is not any more: seen asleep, it may have been so for a moment on the way. */
  const mapped = (pid: number) =>
    until("the executable to be unmapped", () => {
      const maps = readFileSync(`/proc/${pid}/maps`, "utf8");
      return !maps.includes(OURS) && maps;
    });

  test("libc's heap stays", () =>
    whileRunning(startReady(launch), async ({ pid }) => expect(await mapped(pid)).toContain("[heap]")));
});

describe("no privilege is needed to see that it reaps", () => {
  test("a child that dies", () =>
    whileRunning(startReady({ program: OURS }, { before: `sleep 1000 ${BACKGROUND}` }), async (subject) => {
      const child = await until("the child", () => childrenOf(subject.pid)[0]);
      process.kill(child.pid, "SIGKILL");
      await noneLeft(subject);
      await until("pause to sleep again", () => isReady(subject.pid));
    }));

  test("an orphan that dies", () =>
    whileRunning(
      startReady({ program: OURS, subreaper: true }, { before: `sh -c 'sleep 1000 & wait' ${BACKGROUND}` }),
      async (subject) => {
        const parent = await until("the parent", () => childrenOf(subject.pid)[0]);
        const orphan = await until("the orphan", () => childrenOf(parent.pid)[0]);
        process.kill(parent.pid, "SIGKILL");
        await until("the orphan to be adopted", () => childrenOf(subject.pid)[0]?.pid === orphan.pid);
        process.kill(orphan.pid, "SIGKILL");
        await noneLeft(subject);
      },
    ));

  test("an orphan that died before the start", () =>
    whileRunning(startReady({ program: OURS, subreaper: true, deadChild: true }), noneLeft));
});
