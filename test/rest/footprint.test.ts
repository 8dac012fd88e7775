/** JavaScript's memory is given back at every start, and what stays goes on working. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { status } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { ENDINGS, NOT_FIRST } from "../support/output.ts";
import { IS_ROOT } from "../support/skip.ts";
import { OURS, startReady } from "../support/subject.ts";

test("100 starts: each time one thread, and neither the heap nor Bun's code is left", async () => {
  for (let round = 0; round < 100; round++) {
    const subject = await startReady({ program: OURS });
    const now = status(subject.pid);
    // Pause is not dumpable: what it has mapped is root's to see.
    const files = IS_ROOT ? readFileSync(`/proc/${subject.pid}/maps`, "utf8") : undefined;
    subject.send(SIGTERM);
    expect(await subject.ended()).toMatchObject({ exit: 0 });
    expect(now?.["Threads"]).toBe("1");
    expect(Number.parseInt(now?.["RssAnon"] ?? "", 10)).toBeLessThan(300);
    if (files === undefined) continue;
    expect(files).toContain("libc.so");
    expect(files).not.toMatch(/\/pause$/m);
    expect(files).not.toMatch(/rwx/);
  }
});

describe("afterwards", () => {
  for (const [signal, said] of ENDINGS) {
    test(`signal ${signal} is still told and ends it with 0`, async () => {
      const subject = await startReady({ program: OURS });
      subject.send(signal);
      expect(await subject.ended()).toEqual({
        exit: 0,
        signal: null,
        stdout: "",
        stderr: NOT_FIRST + said,
      });
    });
  }
});
