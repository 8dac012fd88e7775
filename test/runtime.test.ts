/** What src/ takes for granted about the pinned runtime. */
import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Elf } from "../scripts/build/elf.ts";
import { THREAD_STORAGE } from "../src/footprint.ts";
import { RUNTIME_SIGNALS } from "../src/signals.ts";
import { OURS, start } from "./subject.ts";

/** Signals 32 and 33, which glibc's thread library uses and no program can set: nptl(7). */
const NPTL = 0b11n << 31n;

test("the runtime changes the disposition of exactly RUNTIME_SIGNALS", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pause-runtime-"));
  try {
    const source = join(folder, "status.ts");
    const program = join(folder, "status");
    await writeFile(source, 'require("fs").writeSync(1, require("fs").readFileSync("/proc/self/status"));');
    await Bun.build({ entrypoints: [source], target: "bun", compile: { outfile: program } });
    const { stdout } = await (await start({ program })).ended();
    const signals = (field: string) => BigInt(`0x${stdout.match(`${field}:\\t(.*)`)?.[1]}`);
    const expected = RUNTIME_SIGNALS.reduce((set, signal) => set | (1n << BigInt(signal - 1)), 0n);
    expect((signals("SigCgt") | signals("SigIgn")) & ~NPTL).toBe(expected);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the runtime's thread-local storage and a thread's control block fit into THREAD_STORAGE", async () => {
  const { threadStorage } = new Elf(await Bun.file(OURS).bytes());
  expect(threadStorage).toBeGreaterThan(0);
  // A control block (struct pthread) takes 2,304 bytes, libc's own storage less than 256; a page for alignment.
  expect(threadStorage + 2304 + 256 + 4096).toBeLessThanOrEqual(THREAD_STORAGE);
});
