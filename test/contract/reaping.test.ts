/** Every child and orphan is reaped, whatever the burst, and no live child is touched: as PID 1, and as any process. */
import { describe, expect, test } from "bun:test";
import { childrenOf, contextSwitches, isReady, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { TERMINATED } from "../support/output.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { NAMESPACE, OURS, type Subject, startReady, whileRunning } from "../support/subject.ts";

/** Runs a shell script inside the subject's namespace; processes that it leaves become children of the subject. */
function inside(subject: Subject, script: string) {
  const command = [...(NAMESPACE?.enter(subject.pid) ?? []), "sh", "-c", script];
  return Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
}

/** Waits until the subject has no child left, dead or alive. */
function noneLeft(subject: Subject): Promise<boolean> {
  return until("no child to be left", () => childrenOf(subject.pid).length === 0);
}

/** Orphans that each read from a pipe until the `sleep` that holds its other end is killed, so that all die at once. */
const orphans = (count: number) =>
  `sleep 1000 | { exec 3<&0; i=0; while [ $i -lt ${count} ]; do (read -r _ <&3) & i=$((i+1)); done; } &`;

/**
 * Lets `count` orphans of a PID 1 die at once, and expects that none is left, that it was not woken, and that SIGTERM
 * ends it with 0.
 */
function expectBurstReaped(count: number): Promise<void> {
  return whileRunning(startReady({ program: OURS }, { pidOne: true }), async (subject) => {
    await inside(subject, orphans(count)).exited;
    const sleep = await until("the orphans", () => {
      const children = childrenOf(subject.pid);
      return children.length === count + 1 && children.find(({ pid }) => status(pid)?.["Name"] === "sleep");
    });
    const before = contextSwitches(subject.pid);
    process.kill(sleep.pid, "SIGKILL");
    await noneLeft(subject);
    expect(contextSwitches(subject.pid)).toBe(before);
    subject.send(SIGTERM);
    expect((await subject.ended()).exit).toBe(0);
  });
}

const pidOne = { pidOne: true };

/** Defines a test that needs a PID 1. */
const inNamespace = (title: string, body: () => Promise<void>) => testUnless(NEEDS_PID_ONE, title, body);

describe("bursts of orphans that die at once", () => {
  for (const count of [1, 50, 1000]) inNamespace(`${count}`, () => expectBurstReaped(count));
});

inNamespace("a child that stops and continues does not wake it and stays", () =>
  whileRunning(startReady({ program: OURS }, pidOne), async (subject) => {
    await inside(subject, "sleep 300 &").exited;
    const child = await until("the child", () => childrenOf(subject.pid)[0]);
    const before = contextSwitches(subject.pid);
    for (let round = 0; round < 20; round++) {
      process.kill(child.pid, "SIGSTOP");
      await until("the stop", () => childrenOf(subject.pid)[0]?.state === "T");
      process.kill(child.pid, "SIGCONT");
      await until("the continuation", () => childrenOf(subject.pid)[0]?.state === "S");
    }
    expect(contextSwitches(subject.pid)).toBe(before);
    expect(childrenOf(subject.pid)).toMatchObject([{ pid: child.pid, state: "S" }]);
    process.kill(child.pid, "SIGKILL");
    await noneLeft(subject);
  }),
);

describe("a child that dies before the handlers are installed", () => {
  inNamespace("is reaped", () =>
    whileRunning(startReady({ program: OURS, deadChild: true }, pidOne), async (subject) => {
      expect(childrenOf(subject.pid)).toEqual([]);
    }),
  );

  inNamespace("at any moment of the start, is reaped", async () => {
    const delays = Array.from({ length: 60 }, (_, ms) => `sleep 0.${String(ms).padStart(3, "0")} &`).join(" ");
    await whileRunning(startReady({ program: OURS }, { pidOne: true, before: `${delays} :` }), noneLeft);
  });
});

inNamespace("SIGTERM in the middle of a storm", async () => {
  const subject = await startReady({ program: OURS }, pidOne);
  // The orphan that stays shows that the others have begun.
  const storm = inside(subject, "(true & true & true &); (sleep 1000 &); while :; do (true & true & true &) done");
  try {
    await until("the storm", () => childrenOf(subject.pid).some(({ pid }) => status(pid)?.["Name"] === "sleep"));
    subject.send(SIGTERM);
    expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
  } finally {
    await subject.kill();
    await storm.exited;
  }
});

/** The end of a command in the background, closed off from the tests' pipes, which it would keep open. */
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
