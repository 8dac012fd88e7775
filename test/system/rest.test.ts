/** A minute at rest, and a burst that is as large as a busy pod's: too long for everyone's tests. */
import { test } from "bun:test";
import { expectBurstReaped } from "../support/burst.ts";
import { expectUndisturbed } from "../support/quiet.ts";

test("nothing wakes it in 60 s", () => expectUndisturbed(60));

test("10,000 orphans that die at once", () => expectBurstReaped(10_000));
