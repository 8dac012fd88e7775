/** Orphans of a PID 1 under test that all die at once. */
import { expect } from "bun:test";
import { childrenOf, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { NAMESPACE, OURS, type Subject, startReady, whileRunning } from "./subject.ts";

/** Runs a shell script inside the subject's namespace; processes that it leaves become children of the subject. */
export function inside(subject: Subject, script: string) {
  const command = [...(NAMESPACE?.enter(subject.pid) ?? []), "sh", "-c", script];
  return Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
}

/** Waits until the subject has no child left, dead or alive. */
export function noneLeft(subject: Subject): Promise<boolean> {
  return until("no child to be left", () => childrenOf(subject.pid).length === 0);
}

/** Orphans that each read from a pipe until the `sleep` that holds its other end is killed, so that all die at once. */
const orphans = (count: number) =>
  `sleep 1000 | { exec 3<&0; i=0; while [ $i -lt ${count} ]; do (read -r _ <&3) & i=$((i+1)); done; } &`;

/** Lets `count` orphans of a PID 1 die at once, and expects that none is left and that SIGTERM still ends it with 0. */
export function expectBurstReaped(count: number): Promise<void> {
  return whileRunning(startReady({ program: OURS }, { pidOne: true }), async (subject) => {
    await inside(subject, orphans(count)).exited;
    const sleep = await until("the orphans", () => {
      const children = childrenOf(subject.pid);
      return children.length === count + 1 && children.find(({ pid }) => status(pid)?.["Name"] === "sleep");
    });
    process.kill(sleep.pid, "SIGKILL");
    await noneLeft(subject);
    subject.send(SIGTERM);
    expect((await subject.ended()).exit).toBe(0);
  });
}
