/**
 * The wait of PID 1: nothing but INT and TERM ends it, no child's death wakes it, and it needs none of the pages that
 * the kernel can forget.
 */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { weigh } from "../../scripts/bench/rest.ts";
import { BURST } from "../../scripts/bench/storm.ts";
import { output } from "../../scripts/command/run.ts";
import { childrenOf, contextSwitches, status, until } from "../../scripts/linux/proc.ts";
import { HARMLESS, SIGTERM } from "../../scripts/linux/signals.ts";
import { compileStorm } from "../../scripts/reference/compile.ts";
import { TERMINATED } from "../support/output.ts";
import { NEEDS_CC, NEEDS_ROOT, NEEDS_TRACING, testUnless } from "../support/skip.ts";
import { NAMESPACE, OURS, type Subject, settled, startReady, whileRunning } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

/** Expects that no child is left, and that SIGTERM ends it as it should. */
async function expectEnd(subject: Subject): Promise<void> {
  expect(childrenOf(subject.pid)).toEqual([]);
  subject.send(SIGTERM);
  expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
}

/** Defines a test with a PID 1. */
function pidOne(title: string, body: (subject: Subject) => Promise<void>): void {
  testUnless(NEEDS_TRACING ?? NEEDS_CC, title, () =>
    whileRunning(startReady({ program: OURS }, { pidOne: true }), body),
  );
}

/** Makes orphans of the subject, which die in bursts, and waits until all are reaped. */
const storm = ({ pid }: Subject, orphans: number, burst = BURST) =>
  output([...(NAMESPACE?.enter(pid) ?? []), compileStorm() ?? "", `${orphans}`, `${burst}`]);

const dropCaches = () => Bun.write("/proc/sys/vm/drop_caches", "3");

const log = join(temporary("trace"), "log");
pidOne(
  "through a storm and every signal that must not end it, it calls sigsuspend and nothing else",
  async (subject) => {
    const tracer = Bun.spawn(["strace", "-qq", "-o", log, "-p", `${subject.pid}`]);
    await until("the tracer", () => status(subject.pid)?.["TracerPid"] === `${tracer.pid}`);
    await storm(subject, 2000);
    for (const signal of HARMLESS) {
      subject.send(signal);
      expect(await settled(subject)).not.toBe("gone");
    }
    await expectEnd(subject);
    await tracer.exited;
    const calls = [...readFileSync(log, "utf8").matchAll(/^(\w+)\(/gm)].map(([, name = ""]) => name);
    const end = calls.lastIndexOf("rt_sigsuspend") + 1;
    expect(new Set(calls.slice(0, end))).toEqual(new Set(["rt_sigsuspend"]));
    // The functions that end it follow one another by setcontext(3), which sets the mask.
    expect(new Set(calls.slice(end))).toEqual(new Set(["rt_sigprocmask", "write", "exit_group"]));
  },
);

/** Orphans in all, and of each storm. */
const [ALL, EACH] = [100_000, 5000];

pidOne(`${ALL} orphans with the page cache dropped all along: no heavier, one thread`, async (subject) => {
  const before = weigh(subject.pid);
  let drops = 0;
  // A drop may take longer than a storm where the page cache is full.
  for (let orphans = 0; orphans < ALL || drops < 2; orphans += EACH) {
    let storming = true;
    const stormy = storm(subject, EACH).finally(() => {
      storming = false;
    });
    for (; storming; drops++) await Promise.all([dropCaches(), Bun.sleep(50)]);
    await stormy;
  }
  expect(weigh(subject.pid).rss).toBeLessThanOrEqual(before.rss + 64);
  expect(status(subject.pid)?.["Threads"]).toBe("1");
  await dropCaches();
  await expectEnd(subject);
});

pidOne("10,000 orphans that die at once", async (subject) => {
  await storm(subject, 10_000, 10_000);
  await expectEnd(subject);
});

pidOne("nothing wakes it in 60 s", async ({ pid }) => {
  const before = contextSwitches(pid);
  await Bun.sleep(60_000);
  expect(contextSwitches(pid)).toBe(before);
});

/** The file by which Bun decides if it starts a thread. */
const OVERCOMMIT = "/proc/sys/vm/overcommit_memory";

for (const text of ["2\n", "1\n", ""]) {
  testUnless(NEEDS_ROOT, `with ${JSON.stringify(text)} in ${OVERCOMMIT} it is one thread and light`, () => {
    const file = join(temporary("overcommit"), "file");
    writeFileSync(file, text);
    // Only this process sees another file there.
    return whileRunning(startReady({ program: OURS, covered: [[OVERCOMMIT, file]] }), async ({ pid }) => {
      expect(readFileSync(`/proc/${pid}/root${OVERCOMMIT}`, "utf8")).toBe(text);
      expect(status(pid)?.["Threads"]).toBe("1");
      // KiB: with JavaScript's memory it is ten times as much.
      expect(weigh(pid).rss).toBeLessThan(3000);
    });
  });
}
