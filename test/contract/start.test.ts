/** A signal that comes while the program starts is acted on or has its default action; it is never lost once held. */
import { expect, test } from "bun:test";
import { isReady, mask, status } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { TERMINATED } from "../support/output.ts";
import { NEEDS_PID_ONE, testIf } from "../support/skip.ts";
import { OURS, start } from "../support/subject.ts";

const TERM_BIT = 1n << BigInt(SIGTERM - 1);

/** Moments of a start, in one pass. */
const STEPS = 60;

/** Starts ours without anything in between, sends SIGTERM after `delay` milliseconds, and tells whose ending it was. */
async function terminated(delay: number): Promise<"default" | "ours"> {
  const pause = Bun.spawn([OURS], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const until = performance.now() + delay;
  // A timer would be too coarse.
  while (performance.now() < until);
  pause.kill(SIGTERM);
  const [stderr] = await Promise.all([pause.stderr.text(), pause.exited]);
  if (pause.signalCode === "SIGTERM") return "default";
  expect({ exit: pause.exitCode, signal: pause.signalCode }).toEqual({ exit: 0, signal: null });
  expect(stderr).toEndWith(TERMINATED);
  return "ours";
}

test("SIGTERM at any moment ends it, by the default action at first, by ours from then on", async () => {
  const met = new Set<string>();
  // A start takes some 5 ms. Where it takes longer, the moments lie further apart, until both endings were met.
  for (let span = 8; met.size < 2 && span <= 8192; span *= 2) {
    for (let step = 0; step < STEPS && (span === 8 || met.size < 2); step++) {
      met.add(await terminated((span * step) / STEPS));
    }
  }
  expect([...met].sort()).toEqual(["default", "ours"]);
}, 600_000);

testIf(
  NEEDS_PID_ONE,
  "PID 1 keeps a SIGTERM that comes after it has held the signals and before it is ready",
  async () => {
    // It takes a glimpse at the right moment. Whether one is had is up to the machine: so it is tried, and not insisted on.
    let early = 0;
    for (let round = 0; round < 50 && early < 5; round++) {
      const subject = await start({ program: OURS }, { pidOne: true });
      const held = () => (mask(status(subject.pid), "SigBlk") & TERM_BIT) !== 0n || isReady(subject.pid);
      // By name: unshare and the launcher, which the process was before, may block signals of their own accord.
      const starting = (now = status(subject.pid)) =>
        now && !now["State"]?.startsWith("Z") && !(now["Name"] === "pause" && held());
      while (starting());
      if ((mask(status(subject.pid), "SigCgt") & TERM_BIT) === 0n) early++;
      subject.send(SIGTERM);
      expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
    }
  },
);
