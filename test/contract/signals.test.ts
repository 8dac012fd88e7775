/** Every signal, sent to ours and to the C reference: the same must become of both. */
import { expect } from "bun:test";
import { SETTABLE } from "../../scripts/linux/signals.ts";
import { forAll } from "../support/parallel.ts";
import { mustRecord, type Place, referenceAnswer } from "../support/record.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { OURS, type Subject, settled, startReady } from "../support/subject.ts";

const SENDERS = {
  "from inside its namespace": { place: "PID 1", send: (s: Subject, n: number) => s.sendFromInside(n) },
  "from outside": { place: "PID 1", send: (s: Subject, n: number) => s.send(n) },
  "from anywhere": { place: "another PID", send: (s: Subject, n: number) => s.send(n) },
} as const;

/** Starts `program`, sends it `signal`, and returns what became of it and what it wrote. */
async function observe(program: string, sender: keyof typeof SENDERS, signal: number, ignored: boolean) {
  const { place, send } = SENDERS[sender];
  const launch = { program, ignored: ignored ? [signal] : [], ownGroup: true };
  const subject = await startReady(launch, { pidOne: place === "PID 1" });
  await send(subject, signal);
  const state = await settled(subject);
  if (state !== "gone") return { state, stderr: (await subject.kill()).stderr };
  const { stdout, stderr, ...end } = await subject.ended();
  return { end: end.signal === signal ? "killed by it" : end, stdout, stderr };
}

/** Each outcome with its signals, in the order of the first one. */
function bySignals(outcomes: ReadonlyMap<number, unknown>): [signals: string, outcome: unknown][] {
  const groups = Map.groupBy(
    [...outcomes].toSorted(([a], [b]) => a - b),
    ([, outcome]) => JSON.stringify(outcome),
  );
  return [...groups.values()].map((group) => [group.map(([signal]) => signal).join(" "), group[0]?.[1]]);
}

for (const sender of Object.keys(SENDERS) as (keyof typeof SENDERS)[]) {
  for (const inherited of ["default", "ignored"] as const) {
    const place: Place = SENDERS[sender].place;
    const missing = place === "PID 1" ? NEEDS_PID_ONE : undefined;
    const title = `all signals ${sender}, inherited as ${inherited}`;
    testUnless(missing, `${title}, ${place}`, async () => {
      const ask = async (program: string) => {
        const outcomes = new Map<number, unknown>();
        await forAll(SETTABLE, 4, async (signal) => {
          outcomes.set(signal, await observe(program, sender, signal, inherited === "ignored"));
        });
        return bySignals(outcomes);
      };
      expect(await ask(OURS)).toEqual(await referenceAnswer(`signals: ${title}`, place, ask));
    });
    mustRecord(title, missing);
  }
}
