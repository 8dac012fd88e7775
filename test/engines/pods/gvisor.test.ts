/** Pods in gVisor on its platform systrap, which keeps a private table in the memory of every process. */
import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../../package.json";
import { until } from "../../../scripts/linux/proc.ts";
import type { Pod } from "../engine.ts";
import { TRIXIE } from "../generations.ts";
import type { Host } from "../host.ts";
import type { Image } from "../images.ts";
import { OciRuntime } from "../oci.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { bothSides, processes, STAY } from "./pod.ts";

/** The system calls in which pauses wait. */
const WAITS = ["rt_sigsuspend", "pause"];

/** gVisor on a host. What its processes look like is not seen from outside. */
class Gvisor extends OciRuntime {
  /** Starts none yet: unpacks the images. */
  static async start(this: void, host: Host, pause: Image, busybox: Image): Promise<Gvisor> {
    const log = ["--debug", `--debug-log=${host.folder}/log/`, "--strace", `--strace-syscalls=${WAITS.join()}`];
    const options = ["--platform=systrap", "--network=none", "--ignore-cgroups", ...log];
    const gvisor = new Gvisor(host, ["runsc", ...options]);
    await gvisor.unpack(pause, busybox);
    return gvisor;
  }

  /** Waits until the pause that was started last waits for signals. */
  async asleep(): Promise<void> {
    const log = join(this.host.folder, "log");
    const waits = new RegExp(`\\b(${WAITS.join("|")}) E `);
    await until("pause to wait in the sandbox", async () => {
      // Their names contain the time.
      const file = (await readdir(log))
        .filter((name) => name.endsWith(".boot.txt"))
        .sort()
        .at(-1);
      return file !== undefined && waits.test(await Bun.file(join(log, file)).text());
    });
  }
}

const STARTS = 20;
const ORPHANS = 50;

/** Makes orphans, which die together a moment after their parents, and waits. Each must have been adopted by then. */
const ORPHAN = `for i in $(seq ${ORPHANS}); do (sleep 1 &); done; sleep 3`;

describeEngine("gVisor", TRIXIE.takes([]), () => {
  const sides = bothSides(TRIXIE, Gvisor.start);

  /** Expects `observe` to return `must` with the reference and with ours. */
  const same = async (must: unknown, observe: (gvisor: Gvisor, pod: Pod) => Promise<unknown>) => {
    for (const gvisor of [sides().reference, sides().ours]) {
      const pod = await gvisor.startPod("pod", { sharedPid: true });
      await gvisor.asleep();
      expect(await observe(gvisor, pod)).toEqual(must);
      await pod.remove();
    }
  };

  test(
    `${STARTS} of ${STARTS} starts exit with 0 on SIGTERM`,
    async () => {
      await record("gVisor, version", { runsc: /\d\S+/.exec(await sides().ours.output("--version"))?.[0] });
      for (let start = 0; start < STARTS; start++) {
        await same(0, (_, pod) => pod.stop().then(() => pod.exitStatus()));
      }
    },
    2 * PATIENCE,
  );

  test(
    "an exec into pause's container runs /pause; a container that joins sees pause as PID 1, and its orphans are reaped",
    () => {
      // The masks of signals are not in a sandbox's /proc.
      const status = "State:\tS (sleeping)\nThreads:\t1";
      const must = { version: `pause.ts ${pkg.version}`, seen: ["1 /pause", "sleep 86400"], status, ended: 0 };
      return same(must, async (gvisor, pod) => {
        const version = await gvisor.output("exec", "pod", "/pause", "-v");
        const member = await pod.join("member", STAY);
        await member.exec(ORPHAN);
        const seen = await processes(member);
        const status = await member.exec("grep -E '^(State|Threads|Sig)' /proc/1/status");
        await pod.stop();
        return { version, seen, status, ended: await pod.exitStatus() };
      });
    },
    PATIENCE,
  );
});
