/** Pods on podman. */

import { bothSides, testPods } from "./pod.ts";
import { Podman } from "./podman.ts";
import { describeEngine } from "./requirements.ts";

const ROOT = "0\t0\t0\t0";

describeEngine("podman", ["podman", "conmon", "crun"], () => {
  const sides = bothSides(Podman.start);
  // Podman 4 gives a pod's infra container root and the default capabilities, whatever user the image names.
  testPods(sides, { Uid: ROOT, Gid: ROOT, NoNewPrivs: "0", Seccomp: "2" });
});
