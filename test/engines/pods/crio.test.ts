/** Pods on CRI-O, over the socket that a kubelet would use. */
import { expect, test } from "bun:test";
import { Crio } from "../crio.ts";
import { TRIXIE } from "../generations.ts";
import { describeEngine, given, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { bothSides, testPods } from "./pod.ts";

const ROOT = "0\t0\t0\t0";

const programs = given("CRIO", "CRI-O");
if (programs !== undefined) {
  // Debian 12's crun is too old.
  describeEngine("CRI-O with crun of Debian 13", TRIXIE.takes([]), () => {
    const sides = bothSides(TRIXIE, (...given) => Crio.start(programs, ...given));
    // CRI-O gives an infra container root and its own default capabilities, whatever user the image names.
    testPods(sides, { Uid: ROOT, Gid: ROOT, CapEff: "00000000000005fb", NoNewPrivs: "0", Seccomp: "2" });

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
