/** A signal that comes while the program starts is acted on or has its default action; it is never lost once held. */
import { expect, test } from "bun:test";
import { NO_PID_NAMESPACE } from "../scripts/namespace.ts";
import { isReady, mask, status } from "../scripts/proc.ts";
import { NAMESPACE, OURS, start } from "./subject.ts";

const SIGTERM = 15;
const TERM_BIT = 1n << BigInt(SIGTERM - 1);
const DOWN = "Shutting down, got signal: Terminated\n";

test("SIGTERM at any moment ends it, by the default action at first, by ours from then on", async () => {
  const endings = { default: 0, ours: 0 };
  for (let delay = 0; delay < 150; delay++) {
    const subject = await start({ program: OURS });
    // The launcher becomes the program after some 10 ms: the delays fall before, into and behind its start.
    await Bun.sleep(delay / 5);
    subject.send(SIGTERM);
    const outcome = await subject.ended();
    if (outcome.signal === "SIGTERM") endings.default++;
    else {
      expect(outcome).toMatchObject({ exit: 0, signal: null });
      expect(outcome.stderr).toEndWith(DOWN);
      endings.ours++;
    }
  }
  // Both kinds were met, or the delays missed the start.
  expect(Math.min(endings.default, endings.ours)).toBeGreaterThan(0);
}, 60_000);

const title = "PID 1 keeps a SIGTERM that comes after it has held the signals and before it is ready";
test.skipIf(!NAMESPACE)(
  NAMESPACE ? title : `${title} (skipped: ${NO_PID_NAMESPACE})`,
  async () => {
    let early = 0;
    for (let round = 0; round < 300 && early < 5; round++) {
      const subject = await start({ program: OURS }, { pidOne: true });
      const held = () => (mask(subject.pid, "SigBlk") & TERM_BIT) !== 0n || isReady(subject.pid);
      // By name: unshare and the launcher, which the process was before, may block signals of their own accord.
      while (!(status(subject.pid)?.["Name"] === "pause" && held()));
      if ((mask(subject.pid, "SigCgt") & TERM_BIT) === 0n) early++;
      subject.send(SIGTERM);
      expect(await subject.ended()).toMatchObject({ exit: 0, stderr: DOWN });
    }
    expect(early).toBeGreaterThan(0);
  },
  60_000,
);
