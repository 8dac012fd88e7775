/** Pause where cgroup v2 is the only hierarchy: in a virtual machine with a Debian kernel, on runc and crun alone and under containerd. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { THREE_HANDLERS } from "../../../scripts/linux/proc.ts";
import { describeEngine } from "../requirements.ts";
import { record } from "../results.ts";
import { emulator } from "../vm.ts";
import { type Case, ENGINES, type EngineName, keyOf, LIMIT, type Observation, SIDES, STORM, takes } from "./cases.ts";
import { runMachine } from "./machine.ts";

/** The longest that the machine may run, in seconds: emulated, and on a busy machine, it has taken sixteen minutes. */
const LONGEST = 2400;

const NOBODY = "65535\t65535\t65535\t65535";
const NONE = "0000000000000000";

/** What pause and the reference must do in each case. */
const MUST: Readonly<Record<Case, Observation>> = {
  rest: {
    ...{ Uid: NOBODY, Gid: NOBODY, CapEff: NONE, CapPrm: NONE, CapAmb: NONE, NoNewPrivs: "1" },
    ...{ State: "S (sleeping)", Threads: "1", SigBlk: NONE, SigIgn: NONE, SigCgt: THREE_HANDLERS },
    ...{ Name: "pause", pid: "1", alone: 1 },
  },
  freeze: { left: [], heeded: false, status: 0 },
  kill: { status: 128 + 9, gone: true },
  storm: { left: [], Threads: "1" },
  stop: { gone: true, cgroup: false },
  limit: { runs: true, limit: LIMIT, status: 0 },
};

/** The cases' test titles. */
const NAMES: Readonly<Record<Case, string>> = {
  rest: "it sleeps as PID 1, alone in its cgroup",
  freeze: "frozen, it does nothing; thawed, it reaps what died meanwhile, and exits with 0 if it was told to end",
  kill: "cgroup.kill ends it with 137",
  storm: `a storm of ${STORM.orphans} orphans leaves none`,
  stop: "the engine stops it, and the cgroup is gone",
  limit: `it runs under a memory.max of ${LIMIT / 1024 / 1024} MiB`,
};

describeEngine("cgroup v2", [emulator("amd64"), "xz", "mkfs.ext4", "apt-get", "dpkg-deb", "tar"], () => {
  let folder = "";
  let seen: Readonly<Record<string, string>> = {};
  const observed = (engine: EngineName, name: Case) =>
    SIDES.map((side) => [side, JSON.parse(seen[keyOf(engine, side, name)] ?? "{}") as Observation] as const);

  beforeAll(
    async () => {
      folder = await mkdtemp(join(tmpdir(), "pause-cgroup2-"));
      seen = await runMachine(folder, LONGEST);
      const { booted, took, kernel, containerd, runc, crun } = seen;
      await record("cgroup v2, the machine", { kernel, containerd, runc, crun, bootSeconds: booted, seconds: took });
    },
    2 * LONGEST * 1000,
  );

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("cgroup v2 is the only hierarchy, with the controllers that engines use", () => {
    expect(seen).toMatchObject({ hierarchies: "1", status: "0" });
    expect(seen["controllers"]?.split(" ")).toEqual(expect.arrayContaining(["cpu", "memory", "pids"]));
  });

  for (const engine of ENGINES) {
    for (const [name, must] of Object.entries(MUST) as [Case, Observation][]) {
      if (!takes(engine, name)) continue;
      test(`${engine}: ${NAMES[name]}`, async () => {
        const both = observed(engine, name);
        const figures = both.map(([side, observation]) => [side, observation["figures"]]);
        await record(`cgroup v2, ${engine}, ${name}`, Object.fromEntries(figures));
        for (const [side, observation] of both) expect({ side, ...observation }).toMatchObject({ side, ...must });
        // containerd 1.6 stops a sandbox with SIGKILL; the case `freeze` shows for every engine that SIGTERM ends it with 0.
        const stopped = engine.startsWith("containerd") ? both.at(-1)?.[1]["status"] : 0;
        if (name === "stop") for (const [, { status }] of both) expect(status).toBe(stopped);
      });
    }
  }
});
