/** What wakes a pause that nobody asks for anything: nothing. */
import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { status } from "../../scripts/linux/proc.ts";
import { NAMESPACE, OURS, startReady } from "./subject.ts";

/** Context switches of every thread, by its ID. */
function switches(pid: number): Record<string, unknown> {
  return Object.fromEntries(
    readdirSync(`/proc/${pid}/task`).map((thread) => {
      const now = status(Number(thread));
      return [thread, [now?.["voluntary_ctxt_switches"], now?.["nonvoluntary_ctxt_switches"]]];
    }),
  );
}

/** Expects that a pause is not woken once in `seconds`: as another PID, and as PID 1 where there can be one. */
export async function expectUndisturbed(seconds: number): Promise<void> {
  const all = NAMESPACE ? [true, false] : [false];
  const subjects = await Promise.all(all.map((pidOne) => startReady({ program: OURS }, { pidOne })));
  try {
    await Bun.sleep(1000);
    const before = subjects.map(({ pid }) => switches(pid));
    for (const threads of before) expect(Object.keys(threads)).toHaveLength(1);
    await Bun.sleep(seconds * 1000);
    expect(subjects.map(({ pid }) => switches(pid))).toEqual(before);
  } finally {
    for (const subject of subjects) await subject.kill();
  }
}
