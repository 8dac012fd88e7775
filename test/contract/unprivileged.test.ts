/** What takes a PID namespace to see of a PID 1, seen of any process: of a parent, and of a subreaper. */
import { describe, test } from "bun:test";
import { childrenOf, isReady, until } from "../../scripts/linux/proc.ts";
import { noneLeft } from "../support/burst.ts";
import { OURS, startReady, whileRunning } from "../support/subject.ts";

/** A process's children are closed off from the tests' pipes, which they would keep open. */
const BACKGROUND = "</dev/null >/dev/null 2>&1 & :";

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
