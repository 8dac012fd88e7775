/** As PID 1: every orphan is reaped, whatever the burst, and no live child is touched. */
import { describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_PID_NAMESPACE } from "../scripts/namespace.ts";
import { childrenOf, status, until } from "../scripts/proc.ts";
import { NAMESPACE, OURS, type Subject, start, startReady } from "./subject.ts";

const pidOne = { pidOne: true };

/** Defines a test that needs a PID namespace. */
function inNamespace(title: string, body: () => Promise<void>, seconds = 30): void {
  test.skipIf(!NAMESPACE)(NAMESPACE ? title : `${title} (skipped: ${NO_PID_NAMESPACE})`, body, seconds * 1000);
}

/** Runs a shell script inside the subject's namespace; what it leaves running becomes the subject's. */
function inside(subject: Subject, script: string, stdin: number | "ignore" = "ignore") {
  const command = [...(NAMESPACE?.enter(subject.pid) ?? []), "sh", "-c", script];
  return Bun.spawn(command, { stdin, stdout: "ignore", stderr: "inherit" });
}

/** A pipe with a name, so that it outlives the processes that hold it: what reads from it waits until `open` is called. */
function gate() {
  const folder = mkdtempSync(join(tmpdir(), "pause-gate-"));
  const path = join(folder, "gate");
  Bun.spawnSync(["mkfifo", path]);
  // Opened for both first: opening a FIFO for one end alone waits for the other.
  const both = openSync(path, "r+");
  const [readEnd, writeEnd] = [openSync(path, "r"), openSync(path, "w")];
  closeSync(both);
  rmSync(folder, { recursive: true });
  return { readEnd, open: () => closeSync(writeEnd), close: () => closeSync(readEnd) };
}

/** Orphans that each wait for the end of the shell's standard input, so that all die at once. */
const orphans = (count: number) => `exec 3<&0; i=0; while [ $i -lt ${count} ]; do (read -r _ <&3) & i=$((i+1)); done`;

const noneLeft = (subject: Subject) => until("no child to be left", () => childrenOf(subject.pid).length === 0, 20);

describe("bursts of orphans that die at once", () => {
  for (const count of [1, 50, 1000, 10_000]) {
    inNamespace(
      `${count}`,
      async () => {
        const subject = await startReady({ program: OURS }, pidOne);
        const { readEnd, open, close } = gate();
        try {
          await inside(subject, orphans(count), readEnd).exited;
          close();
          await until("the orphans", () => childrenOf(subject.pid).length === count);
          open();
          await noneLeft(subject);
          subject.send(15);
          expect((await subject.ended()).exit).toBe(0);
        } finally {
          await subject.kill();
        }
      },
      60,
    );
  }
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
