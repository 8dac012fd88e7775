/** What `podman kube play` must do, whoever runs it. */
import { test } from "bun:test";
import type { Podman } from "../podman.ts";
import { PATIENCE } from "../requirements.ts";
import { atRest, compare, processes, type Sides } from "./pod.ts";

/** A pod of two containers that see each other's processes, as Kubernetes describes it. */
const manifest = (image: string) => `apiVersion: v1
kind: Pod
metadata:
  name: played
spec:
  hostname: played
  shareProcessNamespace: true
  containers:
    - name: first
      image: ${image}
      imagePullPolicy: Never
      command: [sleep, "1111"]
    - name: second
      image: ${image}
      imagePullPolicy: Never
      command: [sleep, "2222"]
`;

/** Tests a pod from play to down. */
export function testPlay(sides: () => Sides<Podman>): void {
  test(
    "podman kube play: a pod of two containers with shareProcessNamespace, from play to down",
    () => {
      const both = ["1 /pause", "sleep 1111", "sleep 2222"];
      const must = { image: true, first: both, second: both, hostname: "played", status: "Running", left: "" };
      return compare(sides(), must, async (podman) => {
        const file = `${podman.host.folder}/pod.yaml`;
        await Bun.write(file, manifest(podman.busybox));
        await podman.output("kube", "play", "--network", "none", file);
        const infra = await podman.output("pod", "inspect", "--format", "{{.InfraContainerID}}", "played");
        const rest = await atRest(podman.host, Number(await podman.inspect(infra, ".State.Pid")));
        const [first, second] = [podman.member("played-first"), podman.member("played-second")];
        const seen = {
          image: (await podman.inspect(infra, ".ImageName")) === podman.pause,
          rest,
          first: await processes(first),
          second: await processes(second),
          hostname: (await second.exec("hostname")).trim(),
          status: await podman.output("pod", "inspect", "--format", "{{.State}}", "played"),
        };
        await podman.output("kube", "down", file);
        return { ...seen, left: await podman.output("ps", "--all", "--quiet") };
      });
    },
    PATIENCE,
  );
}
