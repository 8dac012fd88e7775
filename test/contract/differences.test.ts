/** What the README lists under "Where it differs": each is still so. One that is mended fails here and leaves the list. */
import { describe, expect } from "bun:test";
import { type Case, observe } from "../support/compare.ts";
import { RLIMIT_AS, RLIMIT_NOFILE, RLIMIT_STACK } from "../support/limits.ts";
import { referenceAnswer } from "../support/record.ts";
import { testIf } from "../support/skip.ts";
import { OURS } from "../support/subject.ts";

const cases: Readonly<Record<string, Case>> = {
  "the working directory is gone": { unlinkedDirectory: true },
  "5 open files": { limits: [[RLIMIT_NOFILE, 5]] },
  "2 GiB of address space": { limits: [[RLIMIT_AS, 2 * 2 ** 30]] },
  "a stack of 128 KiB": { limits: [[RLIMIT_STACK, 128 * 1024]] },
};

describe("the reference runs, ours ends with an error", () => {
  for (const [title, it] of Object.entries(cases)) {
    testIf(undefined, title, async () => {
      const reference = await referenceAnswer(`differences: ${title}`, (program) => observe(program, it));
      expect(reference).toMatchObject({ ready: true, exit: 0 });
      const ours = await observe(OURS, it);
      expect(ours.ready).toBe(false);
      expect(ours.exit).not.toBe(0);
    });
  }
});
