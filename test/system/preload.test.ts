/** A library that somebody has preloaded goes on to work beside pause, and a thread of its own is spoken of. */
import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { isReady, mask, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { notInstalled, testUnless } from "../support/skip.ts";
import { OURS, start, whileRunning } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

const { SIGPROF } = constants.signals;

/** A handler whose functions the loader looks up when it runs for the first time: pause is at rest by then. */
const LATE = `
#include <signal.h>
#include <unistd.h>
static void late(int signal) { (void)signal; if (write(2, "late\\n", 5) < 0) _exit(9); }
__attribute__((constructor)) static void install(void) { signal(${SIGPROF}, late); }`;

const THREAD = `
#include <pthread.h>
#include <unistd.h>
static void *rest(void *unused) { for (;;) pause(); return unused; }
__attribute__((constructor)) static void begin(void) { pthread_t it; pthread_create(&it, 0, rest, 0); }`;

/** Compiles `source` into a library whose calls are looked up when they are first made, and returns its path. */
function library(source: string): string {
  const folder = temporary("preload");
  const path = join(folder, "library.so");
  writeFileSync(join(folder, "library.c"), source);
  const flags = ["-shared", "-fPIC", "-Wl,-z,lazy", "-o", path, join(folder, "library.c")];
  const { exitCode, stderr } = Bun.spawnSync(["cc", ...flags]);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
  return path;
}

/** Starts pause with the library, sends it `signals` one after another and SIGTERM, each once it waits; expects `said`, and 0. */
function expectEnd(source: string, said: string, signals: readonly number[] = []): Promise<void> {
  return whileRunning(start({ program: OURS, env: { LD_PRELOAD: library(source) } }), async (subject) => {
    for (const signal of [...signals, SIGTERM]) {
      await until("it to wait", () => isReady(subject.pid) && mask(status(subject.pid), "ShdPnd") === 0n);
      subject.send(signal);
    }
    expect(await subject.ended()).toEqual({ exit: 0, signal: null, stdout: "", stderr: NOT_FIRST + said + TERMINATED });
  });
}

const missing = notInstalled("cc");

testUnless(missing, "a handler that runs twice, and whose calls are looked up then, ends nothing", () =>
  expectEnd(LATE, "late\nlate\n", [SIGPROF, SIGPROF]),
);
testUnless(missing, "a thread is not locked, and a line says so", () =>
  expectEnd(THREAD, "Warning: another thread runs beside pause, unlocked\n"),
);
