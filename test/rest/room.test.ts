/** The memory that stays has room for all that is put there: nothing checks that as it is handed out. */
import { expect } from "bun:test";
import { NO_CALL } from "../support/calls.ts";
import { contents, isUnnamed, MEMORY_DENIED, mappings } from "../support/memory.ts";
import { NEEDS_PTRACE, testUnless } from "../support/skip.ts";
import { OURS, startReady, whileRunning } from "../support/subject.ts";

testUnless(NEEDS_PTRACE ?? MEMORY_DENIED, "at least 1 KiB is free behind what is handed out", () =>
  // With a filter more is put there.
  whileRunning(startReady({ program: OURS, refused: [[NO_CALL]] }), async ({ pid }) => {
    const writable = mappings(pid).filter((it) => isUnnamed(it) && it.permissions === "rw-");
    const [largest] = writable.sort((one, other) => other.size - one.size);
    if (!largest) throw new Error("nothing is mapped that can be written to");
    // The stack, of 64 KiB and more, and what is handed out above it.
    expect(largest.size).toBeGreaterThan(64);
    const bytes = contents(pid, largest);
    const last = bytes.findLastIndex((byte) => byte !== 0);
    // Both the upper half and its end: the first shows that this is where things are put.
    expect(last).toBeGreaterThan(bytes.length / 2);
    expect(bytes.length - last).toBeGreaterThan(1024);
  }),
);
