/** With JavaScript's memory given back, an orphan storm is reaped while the kernel forgets every page it can. */
import { expect, test } from "bun:test";
import { weigh } from "../scripts/measure-rest.ts";
import { BURST } from "../scripts/measure-storm.ts";
import { NO_PID_NAMESPACE } from "../scripts/namespace.ts";
import { childrenOf, status } from "../scripts/proc.ts";
import { compileStorm, NO_REFERENCE } from "../scripts/reference.ts";
import { NAMESPACE, OURS, startReady } from "./subject.ts";

const STORM = compileStorm();
const root = process.getuid?.() === 0;
const missing = !STORM ? NO_REFERENCE : !NAMESPACE ? NO_PID_NAMESPACE : root ? undefined : "needs root";
const title = "a storm with the page cache dropped all along: none left, no heavier, one thread, SIGTERM ends it";

test.skipIf(missing !== undefined)(
  missing ? `${title} (skipped: ${missing})` : title,
  async () => {
    const subject = await startReady({ program: OURS }, { pidOne: true });
    try {
      const before = weigh(subject.pid);
      const storm = Bun.spawn([...(NAMESPACE?.enter(subject.pid) ?? []), STORM ?? "", "5000", `${BURST}`], {
        stdout: "pipe",
        stderr: "inherit",
      });
      let drops = 0;
      for (; storm.exitCode === null && storm.signalCode === null; drops++) {
        await Bun.write("/proc/sys/vm/drop_caches", "3");
        await Bun.sleep(50);
      }
      expect(await storm.stdout.text()).toMatch(/^\d+ \d+\n$/);
      expect(drops).toBeGreaterThan(1);
      expect(childrenOf(subject.pid)).toEqual([]);
      expect(weigh(subject.pid).rss).toBeLessThanOrEqual(before.rss + 64);
      expect(status(subject.pid)?.["Threads"]).toBe("1");
      subject.send(15);
      expect(await subject.ended()).toMatchObject({ exit: 0, stderr: "Shutting down, got signal: Terminated\n" });
    } finally {
      await subject.kill();
    }
  },
  120_000,
);
