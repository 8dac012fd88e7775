/** Pods in gVisor on its platform systrap, which keeps a private table in the memory of every process. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import pkg from "../../../package.json";
import { onNewHost } from "../engine.ts";
import { MACHINE } from "../generations.ts";
import { Gvisor } from "../gvisor.ts";
import { pauseImage, referenceImage } from "../images.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";

const STARTS = 20;
const ORPHANS = 50;

const TERMINATED = { status: 0, stdout: "", stderr: "Shutting down, got signal: Terminated\n" };

/** Prints the state, parent and command of every process except the one that looks. */
const LOOK = `for process in /proc/[0-9]*; do
  [ $process = /proc/$$ ] || echo $(cut -d ' ' -f 3-4 $process/stat) $(tr '\\0' ' ' <$process/cmdline)
done`;

describeEngine("gVisor", ["apt-get", "dpkg-deb"], () => {
  const sides: Gvisor[] = [];
  beforeAll(async () => {
    for (const imageOf of [pauseImage, referenceImage]) {
      sides.push(await onNewHost(MACHINE, async (host) => Gvisor.start(host, await imageOf(host.folder))));
    }
    await record("gVisor, versions", { runsc: /\d\S+/.exec((await sides[0]?.version()) ?? "")?.[0] });
  }, 4 * PATIENCE);
  afterAll(async () => {
    for (const side of sides) await side[Symbol.asyncDispose]();
  }, PATIENCE);

  /** Expects `observe` to return `must` with the reference and with ours. */
  const same = async (must: unknown, observe: (gvisor: Gvisor) => Promise<unknown>) => {
    const [ours, reference] = sides as [Gvisor, Gvisor];
    expect(await observe(reference)).toEqual(must);
    expect(await observe(ours)).toEqual(must);
  };

  test(
    `${STARTS} of ${STARTS} starts exit with 0 and the message on SIGTERM`,
    () =>
      same(Array(STARTS).fill(TERMINATED), async (gvisor) => {
        const outcomes: unknown[] = [];
        for (let start = 0; start < STARTS; start++) outcomes.push(await (await gvisor.startPod()).stop());
        return outcomes;
      }),
    2 * PATIENCE,
  );

  test(
    "a container that joins sees pause as PID 1, and its orphans are reaped; an exec into pause's container runs /pause",
    () => {
      const exec = { status: 0, stdout: `pause.ts ${pkg.version}\n`, stderr: "" };
      return same({ seen: "S 0 /pause\n", exec, ended: TERMINATED }, async (gvisor) => {
        const pod = await gvisor.startPod();
        // They all die together, a moment after their parents: each sleep must have been adopted by then.
        const orphans = `for i in $(seq ${ORPHANS}); do (sleep 1 &); done; sleep 3; ${LOOK}`;
        const { stdout: seen } = await pod.join(orphans);
        return { seen, exec: await pod.exec("/pause", "-v"), ended: await pod.stop() };
      });
    },
    PATIENCE,
  );
});
