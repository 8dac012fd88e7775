/** Every signal, sent to ours and to the C reference: the same must become of both. */
import { expect } from "bun:test";
import { SETTABLE } from "../../scripts/linux/signals.ts";
import { forAll } from "../support/parallel.ts";
import { mustRecord, referenceAnswer } from "../support/record.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { OURS, type Subject, settled, startReady } from "../support/subject.ts";

const SENDERS = {
  "PID 1, from inside its namespace": { pidOne: true, send: (s: Subject, n: number) => s.sendFromInside(n) },
  "PID 1, from outside": { pidOne: true, send: (s: Subject, n: number) => s.send(n) },
  "another PID": { pidOne: false, send: (s: Subject, n: number) => s.send(n) },
} as const;

/** Starts `program`, sends it `signal`, and tells what became of it and what it wrote. */
async function observe(program: string, sender: keyof typeof SENDERS, signal: number, ignored: boolean) {
  const { pidOne, send } = SENDERS[sender];
  const subject = await startReady({ program, ignored: ignored ? [signal] : [], ownGroup: true }, { pidOne });
  await send(subject, signal);
  const state = await settled(subject);
  const outcome = state === "gone" ? await subject.ended() : await subject.kill();
  return { ...outcome, state };
}

for (const sender of Object.keys(SENDERS) as (keyof typeof SENDERS)[]) {
  for (const inherited of ["default", "ignored"] as const) {
    const missing = SENDERS[sender].pidOne ? NEEDS_PID_ONE : undefined;
    const title = `all signals to ${sender}, inherited as ${inherited}`;
    testUnless(missing, title, async () => {
      await forAll(SETTABLE, 4, async (signal) => {
        const ask = (program: string) => observe(program, sender, signal, inherited === "ignored");
        const key = `signals: ${signal} to ${sender}, inherited as ${inherited}`;
        const reference = await referenceAnswer(key, ask);
        expect({ ...(await ask(OURS)), sent: signal }).toEqual({ ...reference, sent: signal });
      });
    });
    mustRecord(title, missing);
  }
}
