/**
 * Break-outs from outside: processes of the same user in the same PID namespace, as in a pod with
 * shareProcessNamespace, try to get into PID 1 or to make something else of it.
 */
import { describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isReady } from "../../scripts/linux/proc.ts";
import { HARMLESS_INSIDE, SIGTERM } from "../../scripts/linux/signals.ts";
import { compileReference, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { NEEDS_PID_ONE, NEEDS_ROOT, testIf } from "../support/skip.ts";
import { IMAGE_USER, NAMESPACE, OURS, type Subject, startReady, whileRunning } from "../support/subject.ts";

/** Runs a command as the same user inside the namespaces of `subject`. */
async function attack(subject: Subject, command: readonly string[], env: Record<string, string> = {}) {
  const enter = [...(NAMESPACE?.enter(subject.pid) ?? []), "-S", `${IMAGE_USER}`, "-G", `${IMAGE_USER}`];
  const child = Bun.spawn([...enter, ...command], {
    env: { PATH: process.env["PATH"], ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 120_000,
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return { exit: child.exitCode, stdout, stderr };
}

/** Defines a test with `program` as PID 1 of a pod, run as the image's user. */
function inPod(title: string, program: string, body: (subject: Subject) => Promise<void>): void {
  testIf((program === "" ? NO_REFERENCE : undefined) ?? NEEDS_PID_ONE ?? NEEDS_ROOT, title, () =>
    whileRunning(startReady({ program, user: IMAGE_USER }, { pidOne: true }), body),
  );
}

/** What an attacker of the same user gets at. */
async function broken(subject: Subject): Promise<string[]> {
  const { stdout, stderr } = await attack(subject, [
    process.execPath,
    join(import.meta.dir, "..", "support", "attack.ts"),
  ]);
  expect(stderr).toBe("");
  return JSON.parse(stdout) as string[];
}

describe("getting into it", () => {
  // NEEDS THE LOCK (not dumpable, src/): without it the kernel treats PID 1 as any process of the same user.
  inPod("no attempt succeeds, and it goes on", OURS, async (subject) => {
    expect(await broken(subject)).toEqual([]);
    expect(isReady(subject.pid)).toBe(true);
    subject.send(SIGTERM);
    expect((await subject.ended()).exit).toBe(0);
  });

  inPod("the same attempts succeed with a pause that has no lock", compileReference() ?? "", async (subject) => {
    const succeeded = await broken(subject);
    expect(succeeded).toContain("read its memory map");
    expect(succeeded).toContain("copy from its memory");
    expect(succeeded).toContain("enter its root");
    // Yama may be stricter by itself.
    const yama = await Bun.file("/proc/sys/kernel/yama/ptrace_scope")
      .text()
      .catch(() => "0\n");
    if (yama === "0\n") expect(succeeded).toContain("attach to it with ptrace");
  });
});

describe("making something else of it", () => {
  const code = "console.log(6 * 7)";
  const environments: Record<string, Record<string, string>> = {
    BUN_BE_BUN: { BUN_BE_BUN: "1" },
    BUN_OPTIONS: { BUN_OPTIONS: `--eval=${code}` },
    BUN_INSPECT: { BUN_INSPECT: "127.0.0.1:0" },
    NODE_OPTIONS: { NODE_OPTIONS: `--eval=${code}` },
    BUN_JSC_dumpOptions: { BUN_JSC_dumpOptions: "1" },
  };
  // Either the lock keeps others out of /proc/1, or what is there is pause and nothing but pause.
  for (const path of ["/proc/1/exe", `/proc/1/root${OURS}`]) {
    for (const [name, env] of Object.entries(environments)) {
      inPod(`${path.replace(OURS, "/…/pause")} with ${name}`, OURS, async (subject) => {
        const run = await attack(subject, ["timeout", "-s", "TERM", "5", path, "-e", code], env);
        expect(run.stdout).toBe("");
        if (/Permission denied/.test(run.stderr)) expect(run.exit).toBe(126);
        else expect(run.stderr).toBe(NOT_FIRST + TERMINATED);
        expect(isReady(subject.pid)).toBe(true);
      });
    }
  }
});

describe("disturbing it", () => {
  inPod("every signal but INT and TERM, from the same user: it sleeps on", OURS, async (subject) => {
    const { exit, stderr } = await attack(subject, [
      "sh",
      "-c",
      `for n in ${HARMLESS_INSIDE.join(" ")}; do kill -$n 1; done`,
    ]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(isReady(subject.pid)).toBe(true);
  });

  inPod("its standard error cannot be made to say anything", OURS, async (subject) => {
    await attack(subject, ["sh", "-c", "for n in 4 5 6 7 8 11 30 31; do kill -$n 1; done; echo evil >/proc/1/fd/1"]);
    expect(isReady(subject.pid)).toBe(true);
    subject.send(SIGTERM);
    expect(await subject.ended()).toMatchObject({ exit: 0, stderr: TERMINATED });
  });

  inPod("its limits do not let it end", OURS, async (subject) => {
    const before = readFileSync(`/proc/${subject.pid}/limits`, "utf8");
    await attack(subject, ["prlimit", "--pid", "1", "--as=4096", "--stack=4096", "--nofile=0", "--cpu=1"]);
    expect(readFileSync(`/proc/${subject.pid}/limits`, "utf8")).not.toBe(before);
    subject.send(SIGTERM);
    expect((await subject.ended()).exit).toBe(0);
  });
});
