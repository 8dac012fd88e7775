/** Pods on podman. */
import { STABLE } from "../generations.ts";
import { Podman } from "../podman.ts";
import { describeGenerations } from "../requirements.ts";
import { testPlay } from "./play.ts";
import { bothSides, testPods } from "./pod.ts";

const ROOT = "0\t0\t0\t0";

describeGenerations(
  "podman",
  ["podman", "conmon", "crun"],
  (generation) => {
    const sides = bothSides(generation, Podman.start);
    // Podman 4 gives a pod's infra container root and the default capabilities, whatever user the image names.
    testPods(sides, { Uid: ROOT, Gid: ROOT, NoNewPrivs: "0", Seccomp: "2" });
    testPlay(sides);
  },
  { of: STABLE },
);
