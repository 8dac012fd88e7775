/** Pods on CRI-O, over the socket that a kubelet would use. */
import { expect, test } from "bun:test";
import { Crio } from "../crio.ts";
import type { Engine } from "../engine.ts";
import { TRIXIE } from "../generations.ts";
import { describeEngine, given, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { bothSides, QUICK, testPods } from "./pod.ts";

const ROOT = "0\t0\t0\t0";

const EARLY = 20;

/** Returns how many of that many pods CRI-O kills, which are stopped as soon as they run. */
async function killed(engine: Engine): Promise<number> {
  let count = 0;
  for (let round = 0; round < EARLY; round++) {
    const pod = await engine.startPod(`early-${round}`, { sharedPid: true });
    const start = performance.now();
    await pod.stop();
    if (performance.now() - start >= QUICK) count++;
    await pod.remove();
  }
  return count;
}

const programs = given("CRIO", "CRI-O");
if (programs !== undefined) {
  // Debian 12's crun is too old.
  describeEngine("CRI-O with crun of Debian 13", TRIXIE.takes([]), () => {
    const sides = bothSides(TRIXIE, (...given) => Crio.start(programs, ...given));
    // CRI-O gives an infra container root and its own default capabilities, whatever user the image names.
    testPods(sides, { Uid: ROOT, Gid: ROOT, CapEff: "00000000000005fb", NoNewPrivs: "0", Seccomp: "2" });

    test(
      "pods that are stopped as soon as they run: hardly more are killed than with C",
      async () => {
        const [ours, reference] = [await killed(sides().ours), await killed(sides().reference)];
        await record("CRI-O, early stops", { of: EARLY, ours, reference });
        // By chance: a SIGTERM that meets the loader is lost, as with any dynamic program.
        expect(ours).toBeLessThanOrEqual(reference + 2);
      },
      10 * PATIENCE,
    );

    test(
      "the image is pinned by its tag, which podman load stores, and no other is pinned",
      async () => {
        const { cri } = sides().ours;
        await record("CRI-O, version", await cri.call("Version", {}));
        const { images } = await cri.call("ListImages", {});
        expect(images.length).toBe(2);
        expect(images.flatMap(({ pinned, repoTags }) => (pinned ? repoTags : []))).toEqual([sides().ours.pause]);
      },
      PATIENCE,
    );
  });
}
