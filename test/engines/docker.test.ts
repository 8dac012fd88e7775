/** Pods and single containers on Docker. */
import { Docker } from "./docker.ts";
import { bothSides, testPods, UNPRIVILEGED } from "./pod.ts";
import { describeEngine } from "./requirements.ts";

describeEngine("Docker", ["dockerd", "docker", "containerd", "runc"], () => {
  const sides = bothSides(Docker.start);
  testPods(sides, UNPRIVILEGED);
});
