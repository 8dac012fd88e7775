/** Signals inherited as blocked, pending or not: the same outcome as with the C reference. */
import { expect, test } from "bun:test";
import { hasEnded, mask, sleepsWithHandlers, status, until } from "../../scripts/linux/proc.ts";
import { SETTABLE, SIGCHLD, SIGINT, SIGTERM } from "../../scripts/linux/signals.ts";
import { NO_CALL } from "../support/calls.ts";
import { sameAsReference } from "../support/compare.ts";
import type { Launch } from "../support/launch.ts";
import { referenceAnswer } from "../support/record.ts";
import { OURS, start } from "../support/subject.ts";

const FILTERS = { "without a filter": {}, "under a filter": { refused: [[NO_CALL]] as const } };
const SOME = [1, 10, 30, 31, 34, 64];

/** Each signal is blocked in one of the first two sets and not in the other; those that ours blocks itself also stand alone. */
const SETS = { none: [], all: SETTABLE, some: SOME, INT: [SIGINT], TERM: [SIGTERM], CHLD: [SIGCHLD] };

/** The mask in `/proc/PID/status` that holds `signals`. */
const maskOf = (signals: readonly number[]): bigint =>
  signals.reduce((bits, signal) => bits | (1n << BigInt(signal - 1)), 0n);

/** Runs one case and returns the facts that are compared. The mask at rest must be the one inherited. */
async function observe(program: string, blocked: readonly number[], it: Partial<Launch>) {
  const subject = await start({ program, blocked, ...it });
  const now = await until("it to rest with the mask that it inherited, or to end", () => {
    const now = status(subject.pid);
    // With other threads it may be waiting for one of them.
    const rests = sleepsWithHandlers(now) && now?.["Threads"] === "1" && mask(now, "SigBlk") === maskOf(blocked);
    return rests ? now : hasEnded(subject.pid) && {};
  });
  subject.send(SIGTERM);
  const waits = (mask(status(subject.pid), "ShdPnd") & maskOf(blocked) & maskOf([SIGTERM])) !== 0n;
  // SIGCHLD is a row of the table of differences.
  const all = (field: string) => mask(now, field) & ~maskOf([SIGCHLD]);
  return {
    ignored: all("SigIgn").toString(16),
    caught: all("SigCgt").toString(16),
    pending: (all("SigPnd") | all("ShdPnd")).toString(16),
    terminated: waits ? "waits" : "ends it",
    ...(await (waits ? subject.kill() : subject.ended())),
  };
}

for (const [where, filter] of Object.entries(FILTERS)) {
  test(`sets of blocked signals, ${where}`, async () => {
    const ask = async (program: string) => {
      const outcomes: Record<string, unknown> = {};
      for (const [name, blocked] of Object.entries(SETS)) {
        outcomes[name] = await observe(program, blocked, filter);
        outcomes[`${name}, pending`] = await observe(program, blocked, { ...filter, pending: blocked });
      }
      return outcomes;
    };
    expect(await ask(OURS)).toEqual(await referenceAnswer(`masks: blocked, ${where}`, "another PID", ask));
  });
  const title = `signals ${SOME} blocked and pending, ${where}`;
  sameAsReference("masks", title, { blocked: SOME, pending: SOME, pidOne: true, ...filter }, (ours) =>
    expect(ours).toMatchObject({ ready: true, exit: 0 }),
  );
}
