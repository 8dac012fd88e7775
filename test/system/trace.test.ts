/** What PID 1 asks of the kernel once it is ready, traced through a storm, every signal that must not end it, and its end. */
import { expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, status, until } from "../../scripts/linux/proc.ts";
import { NAMESPACE, OURS, settled, startReady, UNTRACEABLE } from "../support/subject.ts";

const SIGTERM = 15;
/** All that must not end or stop a PID 1: 1 to 64 without INT, KILL, TERM, STOP, and 32 and 33, which glibc keeps for itself. */
const HARMLESS = Array.from({ length: 64 }, (_, index) => index + 1).filter((n) => ![2, 9, 15, 19, 32, 33].includes(n));
const ORPHANS = 2000;

const title = "after it is ready it calls nothing but sigsuspend, sigreturn, write and exit_group";

test.skipIf(UNTRACEABLE !== undefined)(UNTRACEABLE ? `${title} (skipped: ${UNTRACEABLE})` : title, async () => {
  const folder = await mkdtemp(join(tmpdir(), "pause-trace-"));
  const log = join(folder, "trace");
  const subject = await startReady({ program: OURS }, { pidOne: true });
  try {
    const tracer = Bun.spawn(["strace", "-qq", "-p", `${subject.pid}`, "-o", log], { stderr: "ignore" });
    await until("the tracer", () => status(subject.pid)?.["TracerPid"] === `${tracer.pid}`);
    const storm = `i=0; while [ $i -lt ${ORPHANS} ]; do (true & true & true & true &) & i=$((i+4)); done; wait`;
    await Bun.spawn([...(NAMESPACE?.enter(subject.pid) ?? []), "sh", "-c", storm]).exited;
    await until("the last orphan's end", () => childrenOf(subject.pid).length === 0);
    for (const signal of HARMLESS) {
      subject.send(signal);
      expect(await settled(subject)).not.toBe("gone");
    }
    subject.send(SIGTERM);
    expect(await subject.ended()).toMatchObject({ exit: 0, stderr: "Shutting down, got signal: Terminated\n" });
    await tracer.exited;
    const calls = (await readFile(log, "utf8")).matchAll(/^(\w+)\(/gm);
    const counts = new Map<string, number>();
    for (const [, name = ""] of calls) counts.set(name, (counts.get(name) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual(["exit_group", "rt_sigreturn", "rt_sigsuspend", "write"]);
    // It was woken, and by the storm: not once for each orphan, for one SIGCHLD may stand for many.
    expect(counts.get("rt_sigreturn")).toBeGreaterThan(10);
  } finally {
    await subject.kill();
    await rm(folder, { recursive: true });
  }
});
