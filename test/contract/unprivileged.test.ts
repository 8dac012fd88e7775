/** What root sees of a PID 1, seen by anybody: of one that the kernel does not let lock, of a parent, and of a subreaper. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, isReady, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { noneLeft } from "../support/burst.ts";
import { PR_SET_DUMPABLE, PRCTL } from "../support/calls.ts";
import { TERMINATED } from "../support/output.ts";
import { FOREIGN, writePreload } from "../support/preload.ts";
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

  test("with a foreign file mapped, it stays, and the executable, in which its calls may be looked up", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pause-preload-"));
    try {
      const preload = join(folder, "preload.so");
      writePreload(preload);
      await whileRunning(startReady({ ...launch, env: { LD_PRELOAD: preload } }), async (subject) => {
        const [start, end] = [FOREIGN.start, FOREIGN.start + FOREIGN.size].map((at) =>
          at.toString(16).padStart(8, "0"),
        );
        const maps = readFileSync(`/proc/${subject.pid}/maps`, "utf8");
        expect(maps).toMatch(new RegExp(`^${start}-${end} r--p `, "m"));
        expect(maps).toContain(OURS);
        subject.send(SIGTERM);
        const { exit, stderr } = await subject.ended();
        expect({ exit, stderr: stderr.endsWith(TERMINATED) }).toEqual({ exit: 0, stderr: true });
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
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
