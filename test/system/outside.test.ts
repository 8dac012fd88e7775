/**
 * Break-outs from outside: processes of the same user in the same PID namespace, as in a pod with
 * shareProcessNamespace, try to get into PID 1 or to make something else of it.
 */
import { describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Ran, run } from "../../scripts/command/run.ts";
import { isReady } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { compileReference } from "../../scripts/reference/compile.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { NEEDS_CC, NEEDS_OTHER_USER, NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { IMAGE_USER, NAMESPACE, OURS, type Subject, startReady, whileRunning } from "../support/subject.ts";

/** Runs a command as the same user inside the namespaces of `subject`. */
function attack({ pid }: Subject, command: readonly string[]): Promise<Ran> {
  const enter = [...(NAMESPACE?.enter(pid) ?? []), "-S", `${IMAGE_USER}`, "-G", `${IMAGE_USER}`];
  return run([...enter, "timeout", "120", "env", "-i", `PATH=${process.env["PATH"]}`, ...command]);
}

/** Defines a test with `program` as PID 1 of a pod, run as the image's user. */
function inPod(title: string, body: (subject: Subject) => Promise<void>, program = OURS): void {
  testUnless((program === OURS ? undefined : NEEDS_CC) ?? NEEDS_PID_ONE ?? NEEDS_OTHER_USER, title, () =>
    whileRunning(startReady({ program, user: IMAGE_USER }, { pidOne: true }), body),
  );
}

/** Expects that it waits, and that SIGTERM ends it with its usual words. */
async function expectUnharmed(subject: Subject): Promise<void> {
  expect(isReady(subject.pid)).toBe(true);
  subject.send(SIGTERM);
  expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
}

describe("getting into it", () => {
  /** The successful attempts of an attacker of the same user. */
  async function broken(subject: Subject): Promise<string[]> {
    const program = join(import.meta.dir, "..", "support", "attack.ts");
    const { stdout, stderr } = await attack(subject, [process.execPath, program]);
    expect(stderr).toBe("");
    return JSON.parse(stdout) as string[];
  }

  // NEEDS THE LOCK (not dumpable, src/): without it the kernel treats PID 1 as any process of the same user.
  inPod("no attempt succeeds, and it goes on", async (subject) => {
    expect(await broken(subject)).toEqual([]);
    await expectUnharmed(subject);
  });

  const unlocked = async (subject: Subject) => {
    const succeeded = await broken(subject);
    for (const it of ["read its memory map", "copy from its memory", "enter its root"]) expect(succeeded).toContain(it);
    // Yama may be stricter by itself.
    const yama = Bun.file("/proc/sys/kernel/yama/ptrace_scope");
    if (!(await yama.exists()) || (await yama.text()) === "0\n")
      expect(succeeded).toContain("attach to it with ptrace");
  };
  inPod("the same attempts succeed with a pause that has no lock", unlocked, compileReference() ?? "");
});

describe("making something else of it", () => {
  const code = "console.log(6 * 7)";
  const environment = {
    BUN_BE_BUN: "1",
    BUN_OPTIONS: `--eval=${code}`,
    BUN_INSPECT: "127.0.0.1:0",
    NODE_OPTIONS: `--eval=${code}`,
    BUN_JSC_dumpOptions: "1",
  };
  // Either the lock keeps others out of /proc/1, or the program there is pause and nothing else.
  for (const path of ["/proc/1/exe", `/proc/1/root${OURS}`]) {
    for (const [name, value] of Object.entries(environment)) {
      inPod(`${path.replace(OURS, "/…/pause")} with ${name}`, async (subject) => {
        const variable = `${name}=${value}`;
        const { status, stdout, stderr } = await attack(subject, ["timeout", "5", "env", variable, path, "-e", code]);
        expect(stdout).toBe("");
        if (/Permission denied/.test(stderr)) expect(status).toBe(126);
        else expect(stderr).toBe(NOT_FIRST + TERMINATED);
        await expectUnharmed(subject);
      });
    }
  }
});

inPod("its limits do not let it end", async (subject) => {
  const before = readFileSync(`/proc/${subject.pid}/limits`, "utf8");
  await attack(subject, ["prlimit", "--pid", "1", "--as=4096", "--stack=4096", "--nofile=0", "--cpu=1"]);
  expect(readFileSync(`/proc/${subject.pid}/limits`, "utf8")).not.toBe(before);
  await expectUnharmed(subject);
});
