/** A signal that comes while the program starts is acted on or has its default action; it is never lost once held. */
import { expect, test } from "bun:test";
import { childrenOf, mask, type Status, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { NEEDS_TRACING, testUnless } from "../support/skip.ts";
import { startStepped } from "../support/stepped.ts";
import { NAMESPACE, OURS } from "../support/subject.ts";

/** True if SIGTERM is in the mask of signals `field`. */
const has = (now: Status | undefined, field: string) => ((mask(now, field) >> BigInt(SIGTERM - 1)) & 1n) === 1n;

test("SIGTERM ends it at any step of its start, by the default action at first, by ours once it has held the signals", async () => {
  const met = new Set<string>();
  for (let steps = 0; !met.has("ready"); steps++) {
    const start = startStepped();
    for (let step = 0; step < steps; step++) start.step();
    const now = await start.stopped();
    const held = has(now, "SigBlk") ? "held" : "starting";
    met.add(has(now, "SigCgt") ? "ready" : held);
    expect(await start.endedBy(SIGTERM)).toEqual(
      has(now, "SigBlk") || has(now, "SigCgt")
        ? { exit: 0, signal: null, stdout: "", stderr: NOT_FIRST + TERMINATED }
        : { exit: null, signal: SIGTERM, stdout: "", stderr: "" },
    );
  }
  expect([...met]).toEqual(["starting", "held", "ready"]);
});

/** Makes each getpid(2) take half a second: the last one comes right after the signals are held. */
const SLOW = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=getpid:delay_enter=500000"];

/** Sends SIGTERM to a PID 1 that has held the signals, which must end it, and tells whether it came before the handler. */
async function terminatedEarly(): Promise<boolean> {
  const child = Bun.spawn([...SLOW, ...(NAMESPACE?.command ?? []), OURS], { stderr: "pipe" });
  try {
    const pid = await until("PID 1 to hold the signals", () => {
      const [unshare] = childrenOf(child.pid);
      const [first] = unshare ? childrenOf(unshare.pid) : [];
      const now = first && status(first.pid);
      // By name: unshare, which the process was before, may block signals of its own accord.
      return now?.["Name"] === "pause" && has(now, "SigBlk") && first?.pid;
    });
    process.kill(pid, SIGTERM);
    const now = status(pid);
    expect({ stderr: await child.stderr.text(), exit: await child.exited }).toEqual({ stderr: TERMINATED, exit: 0 });
    return has(now, "ShdPnd") && !has(now, "SigCgt");
  } finally {
    for (const { pid } of childrenOf(child.pid)) process.kill(pid, "SIGKILL");
    child.kill("SIGKILL");
  }
}

testUnless(
  NEEDS_TRACING,
  "PID 1 keeps a SIGTERM that comes after it has held the signals and before it has handlers",
  // On a busy machine half a second may pass unseen.
  async () => expect(await until("a signal to come early enough", terminatedEarly)).toBe(true),
);
