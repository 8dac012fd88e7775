/** A signal that comes while the program starts is acted on or has its default action; it is never lost once held. */
import { expect, test } from "bun:test";
import { mask, type Status } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { startStepped } from "../support/stepped.ts";

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
