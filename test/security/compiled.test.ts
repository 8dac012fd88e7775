/**
 * Nothing on the way to the wait is called so often that JavaScriptCore compiles it: once the process is locked, the
 * threads that compile could not even wake one another, and it would crash.
 *
 * A function is compiled when it has counted 500, each call for 15 and each round of a loop for 1 (JavaScriptCore's
 * option thresholdForJITAfterWarmUp). Here less is enough. Only what is not sealed hears of it.
 */
import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { bundle } from "../../scripts/executable/compile.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { status } from "../../scripts/linux/proc.ts";
import type { Launch } from "../support/launch.ts";
import { startReady } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

const unsealed = join(temporary("compiled"), "pause");
beforeAll(() => bundle(hostPlatform(), unsealed));

/**
 * The outcome of a start in which functions are compiled from a count of `threshold`: the number of threads once it
 * waits, or how it ended.
 */
async function start(threshold: number, surroundings: Partial<Launch>): Promise<string> {
  const env = { BUN_JSC_thresholdForJITAfterWarmUp: `${threshold}`, BUN_JSC_thresholdForJITSoon: `${threshold}` };
  try {
    const subject = await startReady({ ...surroundings, program: unsealed, env });
    const threads = status(subject.pid)?.["Threads"];
    await subject.kill();
    return `threads: ${threads}`;
  } catch (error) {
    return String(error);
  }
}

/** acct(2), which nobody asks for: with a filter there is more to do on the way. */
const ACCT = process.arch === "arm64" ? 89 : 163;

const ways: Record<string, Partial<Launch>> = {
  "without a filter": {},
  "judged by a filter": { refused: [[ACCT]] },
  "with 1,000 arguments": { args: Array(1000).fill("x") },
};

test.each(Object.entries(ways))("%s: nothing comes near the count at which it is compiled", async (_, surroundings) => {
  expect(await start(400, surroundings)).toBe("threads: 1");
  // A tenth of it is reached, and that shows.
  expect(await start(50, surroundings)).not.toBe("threads: 1");
});
