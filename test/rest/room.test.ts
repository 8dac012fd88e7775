/** The memory that stays has room for all that is put there: nothing checks that as it is handed out. */
import { expect } from "bun:test";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { NO_CALL } from "../support/calls.ts";
import { NEEDS_ROOT, testIf } from "../support/skip.ts";
import { OURS, startReady, whileRunning } from "../support/subject.ts";

/** The largest mapping of no file that process `pid` may write to: address and bytes. */
function largest(pid: number): { readonly start: number; readonly size: number } {
  const unnamed = readFileSync(`/proc/${pid}/maps`, "utf8").matchAll(/^(\w+)-(\w+) rw-p 0+ 00:00 0 *$/gm);
  const mappings = [...unnamed].map(([, from = "", to = ""]) => {
    const start = Number.parseInt(from, 16);
    return { start, size: Number.parseInt(to, 16) - start };
  });
  const [first] = mappings.sort((one, other) => other.size - one.size);
  if (!first) throw new Error("nothing is mapped that can be written to");
  return first;
}

testIf(NEEDS_ROOT, "at least 1 KiB is free behind what is handed out", () =>
  // With a filter more is put there.
  whileRunning(startReady({ program: OURS, refused: [[NO_CALL]] }), async (subject) => {
    const memory = openSync(`/proc/${subject.pid}/mem`, "r");
    try {
      const { start, size } = largest(subject.pid);
      // The stack, of 64 KiB and more, and what is handed out above it.
      expect(size).toBeGreaterThan(64 * 1024);
      const bytes = Buffer.alloc(size);
      expect(readSync(memory, bytes, 0, size, start)).toBe(size);
      const last = bytes.findLastIndex((byte) => byte !== 0);
      // Both the upper half and its end: the first shows that this is where things are put.
      expect(last).toBeGreaterThan(size / 2);
      expect(size - last).toBeGreaterThan(1024);
    } finally {
      closeSync(memory);
    }
  }),
);
