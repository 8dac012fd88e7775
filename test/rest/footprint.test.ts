/** JavaScript's memory is given back at every start, and what stays goes on working. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { status } from "../../scripts/linux/proc.ts";
import { OURS, startReady } from "../support/subject.ts";

/** Pause is not dumpable: what it has mapped is root's to see. */
const ROOT = process.getuid?.() === 0;

test("100 starts: each time one thread, and neither the heap nor the runtime's code is left", async () => {
  for (let round = 0; round < 100; round++) {
    const subject = await startReady({ program: OURS });
    const now = status(subject.pid);
    const files = ROOT ? readFileSync(`/proc/${subject.pid}/maps`, "utf8") : undefined;
    subject.send(15);
    expect(await subject.ended()).toMatchObject({ exit: 0 });
    expect(now?.["Threads"]).toBe("1");
    expect(Number.parseInt(now?.["RssAnon"] ?? "", 10)).toBeLessThan(300);
    if (files === undefined) continue;
    // Of the executable one page stays, which libc's stderr lies in; none of it is code.
    expect(files.split("\n").filter((line) => line.endsWith("/pause"))).toHaveLength(1);
    expect(files).not.toMatch(/x.*\/pause$/m);
    expect(files).not.toMatch(/rwx/);
  }
});

describe("afterwards", () => {
  for (const [signal, name] of [
    [2, "Interrupt"],
    [15, "Terminated"],
  ] as const) {
    test(`signal ${signal} still says ${name} and ends it with 0`, async () => {
      const subject = await startReady({ program: OURS });
      subject.send(signal);
      expect(await subject.ended()).toEqual({
        exit: 0,
        signal: null,
        stdout: "",
        stderr: `Warning: pause should be the first process\nShutting down, got signal: ${name}\n`,
      });
    });
  }
});
