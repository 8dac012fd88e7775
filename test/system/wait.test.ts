/** The wait of PID 1: nothing but INT and TERM ends it, no child's death wakes it, and it needs none of the pages that the kernel can forget. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { weigh } from "../../scripts/bench/rest.ts";
import { BURST } from "../../scripts/bench/storm.ts";
import { output } from "../../scripts/command/run.ts";
import { freezer } from "../../scripts/linux/cgroup.ts";
import { childrenOf, isReady, status, until } from "../../scripts/linux/proc.ts";
import { HARMLESS, SIGCONT, SIGSTOP, SIGTERM } from "../../scripts/linux/signals.ts";
import { compileStorm } from "../../scripts/reference/compile.ts";
import { expectLight } from "../support/memory.ts";
import { ENDINGS, NOT_FIRST, TERMINATED } from "../support/output.ts";
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

/** Makes orphans of the subject and waits until all are reaped. */
const storm = ({ pid }: Subject, orphans: number) =>
  output([...(NAMESPACE?.enter(pid) ?? []), compileStorm() ?? "", `${orphans}`, `${BURST}`]);

/** Traces the subject, with its calls in the file `log`. */
async function trace({ pid }: Subject, log: string) {
  const tracer = Bun.spawn(["strace", "-qq", "-o", log, "-p", `${pid}`]);
  await until("the tracer", () => status(pid)?.["TracerPid"] === `${tracer.pid}`);
  return tracer;
}

const dropCaches = () => Bun.write("/proc/sys/vm/drop_caches", "3");

pidOne("2,000 orphans do not wake it and take none of its time", async (subject) => {
  const switches = () => Number(status(subject.pid)?.["voluntary_ctxt_switches"]);
  // The time on a processor, in ns, is the first field.
  const time = () => Number.parseInt(readFileSync(`/proc/${subject.pid}/schedstat`, "utf8"), 10);
  const before = { switches: switches(), time: time() };
  await storm(subject, 2000);
  expect(switches() - before.switches).toBeLessThanOrEqual(20);
  expect(time() - before.time).toBeLessThanOrEqual(10e6);
  await expectEnd(subject);
});

pidOne("STOP and CONT, tracers that come and go, and the freezer, all with orphans: it waits on", async (subject) => {
  for (let round = 0; round < 10; round++) {
    subject.send(SIGSTOP);
    await until("it to stop", () => status(subject.pid)?.["State"]?.startsWith("T"));
    await storm(subject, 10);
    subject.send(SIGCONT);
    await until("it to wait again", () => isReady(subject.pid));
    const tracer = await trace(subject, "/dev/null");
    await storm(subject, 10);
    tracer.kill(round % 2 ? "SIGKILL" : "SIGTERM");
    await tracer.exited;
    await until("it to wait again", () => status(subject.pid)?.["TracerPid"] === "0" && isReady(subject.pid));
  }
  const cgroup = freezer();
  if (cgroup) writeFileSync(cgroup.procs, `${subject.pid}`);
  for (let round = 0; cgroup && round < 10; round++) {
    await cgroup.freeze();
    await storm(subject, 10);
    cgroup.thaw();
  }
  await until("it to wait again", () => isReady(subject.pid));
  await expectEnd(subject);
  if (cgroup) await until("the cgroup to be empty", () => readFileSync(cgroup.procs, "utf8") === "");
  cgroup?.remove();
});

const log = join(temporary("trace"), "log");
pidOne(
  "through a storm and every signal that must not end it, it calls sigsuspend and nothing else",
  async (subject) => {
    const tracer = await trace(subject, log);
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

for (const [signal, said] of ENDINGS) {
  testUnless(
    NEEDS_ROOT,
    `signal ${signal} is still reported and ends it with 0, all of its pages dropped`,
    async () => {
      const subject = await startReady({ program: OURS });
      // Nothing is cached any more: the kernel reads libc and the executable from disk again.
      await dropCaches();
      subject.send(signal);
      expect(await subject.ended()).toEqual({ exit: 0, signal: null, stdout: "", stderr: NOT_FIRST + said });
    },
  );
}

// Whether Bun starts a thread depends on this file. Only this process sees another one there.
const FILE = "/proc/sys/vm/overcommit_memory";
for (const text of ["2\n", "1\n", "0\n", "", "2", "x\n"]) {
  testUnless(NEEDS_ROOT, `with ${JSON.stringify(text)} as vm.overcommit_memory it is one thread and light`, () => {
    const file = join(temporary("overcommit"), "file");
    writeFileSync(file, text);
    return whileRunning(startReady({ program: OURS, covered: [[FILE, file]] }), async ({ pid }) => {
      expect(readFileSync(`/proc/${pid}/root${FILE}`, "utf8")).toBe(text);
      expect(status(pid)?.["Threads"]).toBe("1");
      expectLight(status(pid));
    });
  });
}
