/** Nothing but INT and TERM ends the wait of a PID 1, and no child's death wakes it. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BURST } from "../../scripts/bench/storm.ts";
import { output } from "../../scripts/command/run.ts";
import { freezer } from "../../scripts/linux/cgroup.ts";
import { childrenOf, isReady, status, until } from "../../scripts/linux/proc.ts";
import { SIGCONT, SIGSTOP, SIGTERM } from "../../scripts/linux/signals.ts";
import { compileStorm, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { expectLight } from "../support/memory.ts";
import { TERMINATED } from "../support/output.ts";
import { NEEDS_ROOT, NEEDS_TRACING, testUnless } from "../support/skip.ts";
import { NAMESPACE, OURS, type Subject, startReady, whileRunning } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

const STORM = compileStorm();
const missing = NEEDS_TRACING ?? (STORM ? undefined : NO_REFERENCE);

/** Makes orphans of the subject and waits until all are reaped. */
const storm = ({ pid }: Subject, orphans: number) =>
  output([...(NAMESPACE?.enter(pid) ?? []), STORM ?? "", `${orphans}`, `${BURST}`]);

/** Voluntary context switches, and processor time in kernel ticks (10 ms): proc_pid_status(5), proc_pid_stat(5). */
function spent({ pid }: Subject): { switches: number; ticks: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return { switches: Number(status(pid)?.["voluntary_ctxt_switches"]), ticks: Number(fields[11]) + Number(fields[12]) };
}

/** Expects that SIGTERM still ends it as it should. */
async function expectEndedByTerm(subject: Subject): Promise<void> {
  subject.send(SIGTERM);
  expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
}

testUnless(missing, "2,000 orphans do not wake it and take none of its time", () =>
  whileRunning(startReady({ program: OURS }, { pidOne: true }), async (subject) => {
    const before = spent(subject);
    await storm(subject, 2000);
    const after = spent(subject);
    expect(childrenOf(subject.pid)).toEqual([]);
    expect(after.switches - before.switches).toBeLessThanOrEqual(20);
    expect(after.ticks - before.ticks).toBeLessThanOrEqual(1);
    await expectEndedByTerm(subject);
  }),
);

testUnless(missing, "STOP and CONT, tracers that come and go, and the freezer, all with orphans: it waits on", () =>
  whileRunning(startReady({ program: OURS }, { pidOne: true }), async (subject) => {
    const state = (letter: string) => status(subject.pid)?.["State"]?.startsWith(letter) ?? false;
    for (let round = 0; round < 10; round++) {
      subject.send(SIGSTOP);
      await until("it to stop", () => state("T"));
      await storm(subject, 10);
      subject.send(SIGCONT);
      await until("it to wait again", () => isReady(subject.pid));
      const tracer = Bun.spawn(["strace", "-qq", "-o", "/dev/null", "-p", `${subject.pid}`]);
      await until("the tracer", () => status(subject.pid)?.["TracerPid"] === `${tracer.pid}`);
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
    await expectEndedByTerm(subject);
    if (cgroup) await until("the cgroup to be empty", () => readFileSync(cgroup.procs, "utf8") === "");
    cgroup?.remove();
  }),
);

// Of the machine's own setting only what a process sees of it is changed: whether Bun starts a thread depends on that.
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
