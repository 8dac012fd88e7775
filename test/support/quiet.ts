/** A pause that is left alone sleeps on. */
import { expect } from "bun:test";
import { contextSwitches, status, until } from "../../scripts/linux/proc.ts";
import { NAMESPACE, OURS, startReady } from "./subject.ts";

/** Expects that a pause is not woken once in `seconds`: as another PID, and as PID 1 where there can be one. */
export async function expectUndisturbed(seconds: number): Promise<void> {
  const all = NAMESPACE ? [true, false] : [false];
  const subjects = await Promise.all(all.map((pidOne) => startReady({ program: OURS }, { pidOne })));
  try {
    const now = () => subjects.map(({ pid }) => contextSwitches(pid));
    // On a busy machine it may take its time to fall asleep.
    const before = await until("a second of rest", async () => {
      const counts = now();
      await Bun.sleep(1000);
      return Bun.deepEquals(counts, now()) && counts;
    });
    await Bun.sleep(seconds * 1000);
    expect(now()).toEqual(before);
    for (const { pid } of subjects) expect(status(pid)?.["Threads"]).toBe("1");
  } finally {
    for (const subject of subjects) await subject.kill();
  }
}
