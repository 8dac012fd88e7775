/** Runs one case with ours and with the C reference and expects the same of both. */
import { expect } from "bun:test";
import { hasEnded, isReady, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import type { Launch } from "./launch.ts";
import { mustRecord, referenceAnswer } from "./record.ts";
import { NEEDS_OTHER_USER, NEEDS_PID_ONE, testUnless } from "./skip.ts";
import { OURS, type Outcome, start } from "./subject.ts";

/** A case: everything of the launch but the program, and its surroundings. */
export interface Case extends Omit<Launch, "program"> {
  readonly pidOne?: boolean;
  /** Anything that this machine lacks for the case. */
  readonly missing?: string | undefined;
}

/** The facts that are compared: the end, by itself or after SIGTERM. */
export interface Observation extends Outcome {
  /** True if it slept before. */
  readonly ready: boolean;
}

/** Starts `program`, waits until it sleeps or ends, sends SIGTERM if it sleeps, and returns what happened. */
export async function observe(program: string, { pidOne = false, ...launch }: Case): Promise<Observation> {
  const subject = await start({ program, ...launch }, { pidOne });
  const seen = await until("the program to sleep or end", () =>
    isReady(subject.pid) ? "ready" : hasEnded(subject.pid) && "ended",
  );
  const ready = seen === "ready";
  if (ready) subject.send(SIGTERM);
  return { ready, ...(await subject.ended()) };
}

/** An observation without fields that are null or empty, as it is recorded. */
const brief = (it: Observation) =>
  Object.fromEntries(Object.entries(it).filter(([, value]) => value !== null && value !== ""));

/**
 * Defines a test that runs `it` with ours, expects what the reference does, and hands ours on for more.
 *
 * @param about with the title the case's name in the record
 */
export function sameAsReference(about: string, title: string, it: Case, more: (ours: Observation) => void): void {
  const missing = it.missing ?? (it.pidOne ? NEEDS_PID_ONE : undefined) ?? (it.user ? NEEDS_OTHER_USER : undefined);
  const place = it.pidOne ? "PID 1" : "another PID";
  testUnless(missing, `${title}, ${place}`, async () => {
    const ours = await observe(OURS, it);
    const ask = async (program: string) => brief(await observe(program, it));
    expect(brief(ours)).toEqual(await referenceAnswer(`${about}: ${title}`, place, ask));
    more(ours);
  });
  mustRecord(title, missing);
}

/** Defines that test twice: as another PID and as PID 1. */
export function sameForBoth(about: string, title: string, it: Case, more: (ours: Observation) => void): void {
  for (const pidOne of [false, true]) sameAsReference(about, title, { ...it, pidOne }, more);
}
