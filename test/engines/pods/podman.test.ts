/** Pods on podman, run by root and by an ordinary user with subordinate IDs. */
import { test } from "bun:test";
import { THREE_HANDLERS } from "../../../scripts/linux/proc.ts";
import { STABLE } from "../generations.ts";
import { Podman, USER } from "../podman.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { atRest, bothSides, compare, processes, type Sides, testPods } from "./pod.ts";

/** A user as the host sees it, in all four fields of Uid and Gid in /proc/PID/status. */
const owner = (id: number) => Array(4).fill(id).join("\t");

const PROGRAMS = ["podman", "conmon", "crun"];

/** A pod of two containers that see each other's processes, as Kubernetes describes it. YAML may be JSON. */
function manifest(image: string): string {
  const container = (name: string, time: string) => ({
    name,
    image,
    imagePullPolicy: "Never",
    command: ["sleep", time],
  });
  const containers = [container("first", "1111"), container("second", "2222")];
  const spec = { hostname: "played", shareProcessNamespace: true, containers };
  return JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "played" }, spec });
}

/** Tests a pod from `podman kube play` to down. */
function testPlay(sides: () => Sides<Podman>): void {
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
          hostname: await second.exec("hostname"),
          status: await podman.output("pod", "inspect", "--format", "{{.State}}", "played"),
        };
        await podman.output("kube", "down", file);
        return { ...seen, left: await podman.output("ps", "--all", "--quiet") };
      });
    },
    PATIENCE,
  );
}

describeGenerations(
  "podman",
  PROGRAMS,
  (generation) => {
    const sides = bothSides(generation, Podman.start);
    // Podman 4 gives a pod's infra container root and the default capabilities, whatever user the image names.
    testPods(sides, { Uid: owner(0), Gid: owner(0), NoNewPrivs: "0", Seccomp: "2" });
    testPlay(sides);
  },
  { of: STABLE },
);

/** Stays until it is told to end, even as PID 1 of its own namespace, where sleep would ignore SIGTERM. */
const HEED = "trap exit TERM; sleep 86400 & wait";

describeGenerations(
  "rootless podman",
  PROGRAMS,
  (generation) => {
    const sides = bothSides(generation, (...given) => Podman.start(...given, true));
    const ownNamespaces = ["ipc", "mnt", "net", "pid", "user", "uts"];
    testPods(sides, { Uid: owner(USER.id), Gid: owner(USER.id), NoNewPrivs: "0", Seccomp: "2", ownNamespaces });
    testPlay(sides);

    test.each(["--infra-command=/pause", "--userns=auto", "--userns=keep-id", "--pid=host"])(
      "podman pod create %s: from start to restart",
      async (option) => {
        const first = option !== "--pid=host";
        const rest = { executable: "/pause", Threads: "1", SigCgt: THREE_HANDLERS, ...(first ? { pid: "1" } : {}) };
        await compare(sides(), { rest, status: 0, again: rest }, async (podman) => {
          const pod = await podman.startPod("variant", { sharedPid: first }, option);
          await pod.join("member", HEED);
          const resting = async () => {
            const infra = Number(await podman.inspect("variant-infra", ".State.Pid"));
            const { pid, ...others } = await atRest(podman.host, infra);
            // Without its own PID namespace it has another PID after every start.
            return first ? { pid, ...others } : others;
          };
          const before = await resting();
          await pod.stop();
          const status = await pod.exitStatus();
          await podman.output("pod", "restart", "variant");
          const again = await resting();
          await pod.remove();
          return { rest: before, status, again };
        });
      },
      PATIENCE,
    );
  },
  { tools: ["newuidmap", "setpriv"], of: STABLE },
);
