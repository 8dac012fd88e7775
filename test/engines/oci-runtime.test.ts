/** Pods on runc and crun alone, in the strictest bundle there is. */
import { OciRuntime } from "./oci.ts";
import { bothSides, testPods, UNPRIVILEGED } from "./pod.ts";
import { describeEngine } from "./requirements.ts";

for (const runtime of ["runc", "crun"] as const) {
  describeEngine(runtime, [runtime], () => {
    const sides = bothSides(OciRuntime.with(runtime));
    testPods(sides, UNPRIVILEGED);
  });
}
