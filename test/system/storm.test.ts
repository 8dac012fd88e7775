/** With JavaScript's memory given back it goes on reaping and ends as it should while the kernel forgets every page it can. */
import { expect, test } from "bun:test";
import { weigh } from "../../scripts/bench/rest.ts";
import { BURST } from "../../scripts/bench/storm.ts";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { childrenOf, status } from "../../scripts/linux/proc.ts";
import { compileStorm, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { NAMESPACE, OURS, startReady } from "../support/subject.ts";

const STORM = compileStorm();
const root = process.getuid?.() === 0;
const missing = !STORM ? NO_REFERENCE : !NAMESPACE ? NO_PID_NAMESPACE : root ? undefined : "needs root";
/** Orphans in all, and of each storm. */
const [ALL, EACH] = [100_000, 5000];

const title = `${ALL} orphans with the page cache dropped all along: none left, no heavier, one thread, SIGTERM ends it`;
test.skipIf(missing !== undefined)(missing ? `${title} (skipped: ${missing})` : title, async () => {
  const subject = await startReady({ program: OURS }, { pidOne: true });
  try {
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
      expect(await storm.stdout.text()).toMatch(/^\d+ \d+\n$/);
    }
    expect(childrenOf(subject.pid)).toEqual([]);
    expect(weigh(subject.pid).rss).toBeLessThanOrEqual(before.rss + 64);
    expect(status(subject.pid)?.["Threads"]).toBe("1");
    await Bun.write("/proc/sys/vm/drop_caches", "3");
    subject.send(15);
    expect(await subject.ended()).toMatchObject({ exit: 0, stderr: "Shutting down, got signal: Terminated\n" });
  } finally {
    await subject.kill();
  }
});

for (const [signal, name] of [
  [2, "Interrupt"],
  [15, "Terminated"],
] as const) {
  const still = `signal ${signal} still says ${name} and ends it with 0, all of its pages dropped`;
  test.skipIf(!root)(root ? still : `${still} (skipped: needs root)`, async () => {
    const subject = await startReady({ program: OURS });
    // Nothing is cached any more: the kernel reads libc and the executable from disk again.
    await Bun.write("/proc/sys/vm/drop_caches", "3");
    subject.send(signal);
    const stderr = `Warning: pause should be the first process\nShutting down, got signal: ${name}\n`;
    expect(await subject.ended()).toEqual({ exit: 0, signal: null, stdout: "", stderr });
  });
}
