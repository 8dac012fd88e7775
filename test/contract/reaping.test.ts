/** As PID 1: every orphan is reaped, whatever the burst, and no live child is touched. */
import { describe, expect, test } from "bun:test";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { childrenOf, status, until } from "../../scripts/linux/proc.ts";
import { expectBurstReaped, inside, noneLeft } from "../support/burst.ts";
import { NAMESPACE, OURS, start, startReady } from "../support/subject.ts";

const pidOne = { pidOne: true };

/** Defines a test that needs a PID namespace. */
function inNamespace(title: string, body: () => Promise<void>): void {
  test.skipIf(!NAMESPACE)(NAMESPACE ? title : `${title} (skipped: ${NO_PID_NAMESPACE})`, body);
}

describe("bursts of orphans that die at once", () => {
  for (const count of [1, 50, 1000]) inNamespace(`${count}`, () => expectBurstReaped(count));
});

inNamespace("a daemon that forked twice", async () => {
  const subject = await startReady({ program: OURS }, pidOne);
  try {
    await inside(subject, "setsid sh -c 'sleep 300 & exit' & wait").exited;
    const daemon = await until("the daemon", () => childrenOf(subject.pid)[0]);
    process.kill(daemon.pid, "SIGKILL");
    await noneLeft(subject);
  } finally {
    await subject.kill();
  }
});

inNamespace("a child that stops and continues wakes nobody and stays", async () => {
  const subject = await startReady({ program: OURS }, pidOne);
  try {
    await inside(subject, "sleep 300 &").exited;
    const child = await until("the child", () => childrenOf(subject.pid)[0]);
    const switches = () => status(subject.pid)?.["voluntary_ctxt_switches"];
    const before = switches();
    for (let round = 0; round < 20; round++) {
      process.kill(child.pid, "SIGSTOP");
      await until("the stop", () => childrenOf(subject.pid)[0]?.state === "T");
      process.kill(child.pid, "SIGCONT");
      await until("the continuation", () => childrenOf(subject.pid)[0]?.state === "S");
    }
    expect(switches()).toBe(before ?? "the process is gone");
    expect(childrenOf(subject.pid)).toEqual([{ pid: child.pid, state: "S" }]);
    process.kill(child.pid, "SIGKILL");
    await noneLeft(subject);
  } finally {
    await subject.kill();
  }
});

describe("a child that dies before the handlers are installed", () => {
  inNamespace("is a zombie for a program that does not reap", async () => {
    const sleep = Bun.which("sleep") ?? "sleep";
    const subject = await start({ program: sleep, args: ["300"], deadChild: true }, pidOne);
    try {
      await until("the program", () => status(subject.pid)?.["Name"] === "sleep");
      expect(childrenOf(subject.pid).map((child) => child.state)).toEqual(["Z"]);
    } finally {
      await subject.kill();
    }
  });

  inNamespace("is reaped", async () => {
    const subject = await startReady({ program: OURS, deadChild: true }, pidOne);
    try {
      expect(childrenOf(subject.pid)).toEqual([]);
    } finally {
      await subject.kill();
    }
  });

  inNamespace("at any moment of the start, is reaped", async () => {
    const delays = Array.from({ length: 60 }, (_, ms) => `sleep 0.${String(ms).padStart(3, "0")} &`).join(" ");
    const subject = await startReady({ program: OURS }, { pidOne: true, before: `${delays} :` });
    try {
      await noneLeft(subject);
    } finally {
      await subject.kill();
    }
  });
});

inNamespace("SIGTERM in the middle of a storm", async () => {
  const subject = await startReady({ program: OURS }, pidOne);
  const storm = inside(subject, "while :; do (true & true & true &) done");
  try {
    await until("the storm", () => Number(status(subject.pid)?.["voluntary_ctxt_switches"]) > 500);
    subject.send(15);
    expect(await subject.ended()).toMatchObject({ exit: 0, stderr: "Shutting down, got signal: Terminated\n" });
  } finally {
    await subject.kill();
    await storm.exited;
  }
});
