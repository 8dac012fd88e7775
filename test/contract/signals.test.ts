/** Every signal, sent to ours and to the C reference: the same must become of both. */
import { expect } from "bun:test";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { mustRecord, referenceAnswer } from "../support/record.ts";
import { testIf } from "../support/skip.ts";
import { NAMESPACE, OURS, type Subject, settled, startReady } from "../support/subject.ts";

/** 1 to 64 without KILL and STOP, which no process can influence, and 32 and 33, which glibc keeps for itself. */
const SIGNALS = Array.from({ length: 64 }, (_, index) => index + 1).filter((n) => ![9, 19, 32, 33].includes(n));

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

/** Runs `task` for all items, a few at a time. */
async function forAll<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let item = rest.shift(); item !== undefined; item = rest.shift()) await task(item);
    }),
  );
}

for (const sender of Object.keys(SENDERS) as (keyof typeof SENDERS)[]) {
  for (const inherited of ["default", "ignored"] as const) {
    const missing = SENDERS[sender].pidOne && !NAMESPACE && NO_PID_NAMESPACE;
    const title = `all signals to ${sender}, inherited as ${inherited}`;
    testIf(
      missing,
      title,
      async () => {
        await forAll(SIGNALS, async (signal) => {
          const ask = (program: string) => observe(program, sender, signal, inherited === "ignored");
          const key = `signals: ${signal} to ${sender}, inherited as ${inherited}`;
          const reference = await referenceAnswer(key, ask);
          expect({ ...(await ask(OURS)), sent: signal }).toEqual({ ...reference, sent: signal });
        });
      },
      120_000,
    );
    mustRecord(title, missing);
  }
}
