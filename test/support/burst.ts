/** Orphans of a PID 1 under test, which die all at once. */
import { expect } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { NAMESPACE, OURS, type Subject, startReady, whileRunning } from "./subject.ts";

/** Runs a shell script inside the subject's namespace; what it leaves running becomes the subject's. */
export function inside(subject: Subject, script: string, stdin: number | "ignore" = "ignore") {
  const command = [...(NAMESPACE?.enter(subject.pid) ?? []), "sh", "-c", script];
  return Bun.spawn(command, { stdin, stdout: "ignore", stderr: "inherit" });
}

/** Waits until the subject has no child left, dead or alive. */
export function noneLeft(subject: Subject): Promise<boolean> {
  return until("no child to be left", () => childrenOf(subject.pid).length === 0);
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

/** Has `count` orphans of a pause that is PID 1 die at once, and expects that none is left and that SIGTERM still ends it with 0. */
export function expectBurstReaped(count: number): Promise<void> {
  return whileRunning(startReady({ program: OURS }, { pidOne: true }), async (subject) => {
    const { readEnd, open, close } = gate();
    await inside(subject, orphans(count), readEnd).exited;
    close();
    await until("the orphans", () => childrenOf(subject.pid).length === count);
    open();
    await noneLeft(subject);
    subject.send(SIGTERM);
    expect((await subject.ended()).exit).toBe(0);
  });
}
