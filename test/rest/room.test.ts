/** The memory that stays has room for all that is put there: nothing checks that as it is handed out. */
import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { OURS, startReady } from "../support/subject.ts";

/** acct(2), which nobody asks for: with a filter more is put there. */
const ACCT = process.arch === "arm64" ? 89 : 163;

const title = "at least 1 KiB is free behind what is handed out";
const ROOT = process.getuid?.() === 0;

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

test.skipIf(!ROOT)(ROOT ? title : `${title} (skipped: it takes root to look into it)`, async () => {
  const subject = await startReady({ program: OURS, refused: [[ACCT]] });
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
    await subject.kill();
  }
});
