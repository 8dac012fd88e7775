/** Runs one case with ours and with the C reference and expects the same of both. */
import { expect } from "bun:test";
import { isReady, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import type { Launch } from "./launch.ts";
import { mustRecord, referenceAnswer } from "./record.ts";
import { NEEDS_PID_ONE, NEEDS_ROOT, testUnless } from "./skip.ts";
import { OURS, type Outcome, start } from "./subject.ts";

/** A case: everything of the launch but the program, and where it runs. */
export interface Case extends Omit<Launch, "program"> {
  readonly pidOne?: boolean;
  /** The case needs root, for what no user may do. */
  readonly root?: boolean;
  /** What else this machine lacks for the case, if anything. */
  readonly missing?: string | undefined;
}

/** What is compared: whether the program came to sleep, and how it ended, by itself or after SIGTERM. */
export interface Observation extends Outcome {
  readonly ready: boolean;
}

/** Starts `program`, waits until it sleeps or ends, sends SIGTERM if it sleeps, and tells what happened. */
export async function observe(program: string, { pidOne = false, ...launch }: Case): Promise<Observation> {
  const subject = await start({ program, ...launch }, { pidOne });
  const alive = () => !["Z", undefined].includes(status(subject.pid)?.["State"]?.[0]);
  const seen = await until("the program to sleep or end", () => (isReady(subject.pid) ? "ready" : !alive() && "ended"));
  const ready = seen === "ready";
  if (ready) subject.send(SIGTERM);
  return { ready, ...(await subject.ended()) };
}

/** The reason a case cannot run on this machine, or undefined. */
function missingFor({ pidOne, root, missing }: Case): string | undefined {
  return missing ?? (pidOne ? NEEDS_PID_ONE : undefined) ?? (root ? NEEDS_ROOT : undefined);
}

/**
 * Defines a test that runs `it` with ours, expects what the reference does, and hands ours on for more.
 *
 * @param about with the title the case's name in the record
 */
export function sameAsReference(about: string, title: string, it: Case, more: (ours: Observation) => void): void {
  const missing = missingFor(it);
  testUnless(missing, title, async () => {
    const ours = await observe(OURS, it);
    expect(ours).toEqual(await referenceAnswer(`${about}: ${title}`, (program) => observe(program, it)));
    more(ours);
  });
  mustRecord(title, missing);
}
