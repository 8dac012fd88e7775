/** The system calls of PID 1 once it is ready, traced through a storm, every signal that must not end it, and its end. */
import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { status, until } from "../../scripts/linux/proc.ts";
import { HARMLESS, SIGTERM } from "../../scripts/linux/signals.ts";
import { inside, noneLeft } from "../support/burst.ts";
import { TERMINATED } from "../support/output.ts";
import { NEEDS_TRACING, testUnless } from "../support/skip.ts";
import { OURS, settled, startReady } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

const ORPHANS = 2000;

const title = "after it is ready it calls nothing but sigsuspend, and at its end sigprocmask, write and exit_group";

testUnless(NEEDS_TRACING, title, async () => {
  const log = join(temporary("trace"), "trace");
  const subject = await startReady({ program: OURS }, { pidOne: true });
  try {
    const tracer = Bun.spawn(["strace", "-qq", "-p", `${subject.pid}`, "-o", log], { stderr: "ignore" });
    await until("the tracer", () => status(subject.pid)?.["TracerPid"] === `${tracer.pid}`);
    const storm = `i=0; while [ $i -lt ${ORPHANS} ]; do (true & true & true & true &) & i=$((i+4)); done; wait`;
    await inside(subject, storm).exited;
    await noneLeft(subject);
    for (const signal of HARMLESS) {
      subject.send(signal);
      expect(await settled(subject)).not.toBe("gone");
    }
    subject.send(SIGTERM);
    expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
    await tracer.exited;
    const calls = [...(await readFile(log, "utf8")).matchAll(/^(\w+)\(/gm)].map(([, name = ""]) => name);
    const end = calls.lastIndexOf("rt_sigsuspend") + 1;
    // The functions that end it follow one another by setcontext(3), which sets the mask.
    expect(new Set(calls.slice(end))).toEqual(new Set(["rt_sigprocmask", "write", "exit_group"]));
    expect(new Set(calls.slice(0, end))).toEqual(new Set(["rt_sigsuspend"]));
  } finally {
    await subject.kill();
  }
});
