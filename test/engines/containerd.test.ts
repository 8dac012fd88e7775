/** Pods on containerd, over the socket that a kubelet would use. */
import { startContainerd } from "./containerd.ts";
import { bothSides, testPods, UNPRIVILEGED } from "./pod.ts";
import { describeEngine } from "./requirements.ts";

describeEngine("containerd", ["containerd", "ctr", "runc"], () => {
  const sides = bothSides(startContainerd);
  testPods(sides, UNPRIVILEGED);
});
