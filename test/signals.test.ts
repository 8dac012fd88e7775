/** Every signal, sent to ours and to the C reference: the same must become of both. */
import { expect, test } from "bun:test";
import { NO_PID_NAMESPACE } from "../scripts/namespace.ts";
import { NO_REFERENCE, REFERENCE } from "../scripts/reference.ts";
import { RUNTIME_SIGNALS } from "../src/signals.ts";
import { NAMESPACE, OURS, type Subject, settled, startReady } from "./subject.ts";

/** 1 to 64 without KILL and STOP, which no process can influence, and 32 and 33, which glibc keeps for itself. */
const SIGNALS = Array.from({ length: 64 }, (_, index) => index + 1).filter((n) => ![9, 19, 32, 33].includes(n));

const SENDERS = {
  "PID 1, from inside its namespace": { pidOne: true, send: (s: Subject, n: number) => s.sendFromInside(n) },
  "PID 1, from outside": { pidOne: true, send: (s: Subject, n: number) => s.send(n) },
  "another PID": { pidOne: false, send: (s: Subject, n: number) => s.send(n) },
} as const;

/** What the runtime overwrote before JavaScript ran cannot be seen any more: README, "Where it differs". */
const OVERWRITTEN: ReadonlySet<number> = new Set(RUNTIME_SIGNALS);

/** SIGPWR, which the runtime's garbage collector would use to suspend threads. */
const SIGPWR = 30;
/** What the runtime says when it finds SIGPWR ignored, before JavaScript runs: README, "Where it differs". */
const PWR_NOTICE =
  "Overriding existing handler for signal 30. Set JSC_SIGNAL_FOR_GC if you want WebKit to use a different signal\n";

/** Starts `program`, sends it `signal`, and tells what became of it and what it wrote. */
async function observe(program: string, sender: keyof typeof SENDERS, signal: number, ignored: boolean) {
  const { pidOne, send } = SENDERS[sender];
  const subject = await startReady({ program, ignored: ignored ? [signal] : [] }, { pidOne });
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
    const missing = REFERENCE === undefined ? NO_REFERENCE : SENDERS[sender].pidOne && !NAMESPACE && NO_PID_NAMESPACE;
    const title = `all signals to ${sender}, inherited as ${inherited}`;
    test.skipIf(Boolean(missing))(
      missing ? `${title} (skipped: ${missing})` : title,
      async () => {
        const differing: number[] = [];
        await forAll(SIGNALS, async (signal) => {
          const ours = await observe(OURS, sender, signal, inherited === "ignored");
          const reference = await observe(REFERENCE ?? "", sender, signal, inherited === "ignored");
          if (inherited === "ignored" && signal === SIGPWR) {
            expect(ours.stderr).toStartWith(PWR_NOTICE);
            ours.stderr = ours.stderr.slice(PWR_NOTICE.length);
          }
          if (inherited === "ignored" && sender === "another PID" && OVERWRITTEN.has(signal)) {
            // The known difference: ours has the default action again, the reference still ignores.
            expect(reference.state).toBe("S");
            if (ours.state !== reference.state) differing.push(signal);
          } else {
            expect({ ...ours, sent: signal }).toEqual({ ...reference, sent: signal });
          }
        });
        const known = inherited === "ignored" && sender === "another PID" ? RUNTIME_SIGNALS : [];
        expect(differing.sort((a, b) => a - b)).toEqual([...known]);
      },
      120_000,
    );
  }
}
