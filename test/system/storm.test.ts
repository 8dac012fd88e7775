/** With JavaScript's memory given back it goes on reaping and ends as it should while the kernel forgets every page it can. */
import { expect } from "bun:test";
import { weigh } from "../../scripts/bench/rest.ts";
import { BURST } from "../../scripts/bench/storm.ts";
import { childrenOf, status } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { compileStorm, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { ENDINGS, NOT_FIRST, TERMINATED } from "../support/output.ts";
import { NEEDS_PID_ONE, NEEDS_ROOT, testIf } from "../support/skip.ts";
import { NAMESPACE, OURS, startReady, whileRunning } from "../support/subject.ts";

const STORM = compileStorm();
/** Orphans in all, and of each storm. */
const [ALL, EACH] = [100_000, 5000];

const title = `${ALL} orphans with the page cache dropped all along: none left, no heavier, one thread, SIGTERM ends it`;
testIf((STORM ? undefined : NO_REFERENCE) ?? NEEDS_PID_ONE ?? NEEDS_ROOT, title, () =>
  whileRunning(startReady({ program: OURS }, { pidOne: true }), async (subject) => {
    const before = weigh(subject.pid);
    let drops = 0;
    // A drop may take longer than a storm where the page cache is full.
    for (let orphans = 0; orphans < ALL || drops < 2; orphans += EACH) {
      const storm = Bun.spawn([...(NAMESPACE?.enter(subject.pid) ?? []), STORM ?? "", `${EACH}`, `${BURST}`], {
        stdout: "pipe",
        stderr: "inherit",
      });
      for (; storm.exitCode === null && storm.signalCode === null; drops++) {
        await Bun.write("/proc/sys/vm/drop_caches", "3");
        await Bun.sleep(50);
      }
      expect(await storm.stdout.text()).toMatch(/^\d+\n$/);
    }
    expect(childrenOf(subject.pid)).toEqual([]);
    expect(weigh(subject.pid).rss).toBeLessThanOrEqual(before.rss + 64);
    expect(status(subject.pid)?.["Threads"]).toBe("1");
    await Bun.write("/proc/sys/vm/drop_caches", "3");
    subject.send(SIGTERM);
    expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
  }),
);

for (const [signal, said] of ENDINGS) {
  testIf(NEEDS_ROOT, `signal ${signal} is still reported and ends it with 0, all of its pages dropped`, async () => {
    const subject = await startReady({ program: OURS });
    // Nothing is cached any more: the kernel reads libc and the executable from disk again.
    await Bun.write("/proc/sys/vm/drop_caches", "3");
    subject.send(signal);
    expect(await subject.ended()).toEqual({ exit: 0, signal: null, stdout: "", stderr: NOT_FIRST + said });
  });
}
