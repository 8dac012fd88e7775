/**
 * Pause on other processors than this machine's, and with strict overcommit: in virtual machines with Debian's kernel,
 * beside the C reference.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../../package.json";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { emulator } from "../vm.ts";
import { CROWD, type Parts, parts, runMachine, SIDES } from "./machine.ts";

/** The longest that a machine may run, in seconds: on an idle host they take 30 and 10. */
const LONGEST = 600;

/** 128 and SIGILL, as a shell reports it. */
const ILLEGAL_INSTRUCTION = "132";

const sides = Object.keys(SIDES) as (keyof typeof SIDES)[];

/** What each side must print where it runs. */
const runs = (side: keyof typeof SIDES) => ({
  [`${side}_version`]: `pause.ts ${pkg.version}`,
  [`${side}_version_status`]: "0",
  [`${side}_rests`]: "1",
  [`${side}_left`]: "0",
  [`${side}_status`]: "0",
  [`${side}_said`]: "Shutting down, got signal: Terminated",
});

describeEngine("processors", [emulator("amd64"), "cpio", "apt-get", "dpkg-deb", "gzip"], () => {
  let folder = "";
  let made: Parts;
  let nehalem: Readonly<Record<string, string>> = {};
  let qemu64: Readonly<Record<string, string>> = {};

  beforeAll(
    async () => {
      folder = await mkdtemp(join(tmpdir(), "pause-processors-"));
      made = await parts(folder);
      nehalem = await runMachine(made, "Nehalem", { crowd: true, seconds: LONGEST });
      qemu64 = await runMachine(made, "qemu64", { crowd: false, seconds: LONGEST });
      for (const { kernel, processor, took } of [nehalem, qemu64]) {
        await record(`processors, ${processor}`, { kernel, seconds: took });
      }
    },
    PATIENCE + 2 * LONGEST * 1000,
  );

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("a processor without AVX, Nehalem: both run", () => {
    expect(nehalem["flags"]?.split(" ")).toEqual(expect.arrayContaining(["sse4_2", "popcnt"]));
    expect(nehalem["flags"]?.split(" ")).not.toContain("avx");
    for (const side of sides) expect(nehalem).toMatchObject(runs(side));
  });

  test(`vm.overcommit_memory=2, ${CROWD.starts} starts at once under a limit of 4 GiB: all run on both sides`, async () => {
    const promised = sides.map((side) => [side, Number(nehalem[`${side}_promised`])]);
    await record("processors, KiB promised to all starts at the most", Object.fromEntries(promised));
    expect(nehalem["limit"]).toBe(`${CROWD.limit}`);
    const all = `${CROWD.starts}`;
    for (const side of sides) expect(nehalem).toMatchObject({ [`${side}_started`]: all, [`${side}_good`]: all });
  });

  test("a processor without SSE4.2 and POPCNT, qemu64: the reference runs, ours ends silently with SIGILL", () => {
    for (const flag of ["sse4_2", "popcnt"]) expect(qemu64["flags"]?.split(" ")).not.toContain(flag);
    expect(qemu64).toMatchObject(runs("reference"));
    expect(qemu64).toMatchObject({
      ours_version: "",
      ours_version_status: ILLEGAL_INSTRUCTION,
      ours_status: ILLEGAL_INSTRUCTION,
      ours_said: "",
    });
    expect(qemu64).not.toHaveProperty("ours_rests");
  });
});
