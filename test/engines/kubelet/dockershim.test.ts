/** Pods of a kubelet whose flag `--pod-infra-container-image` chooses the image, as the flag was meant to. */
import { beforeAll, test } from "bun:test";
import { until } from "../../../scripts/linux/proc.ts";
import { MACHINE } from "../generations.ts";
import { atRest, bothSides, compare, STAY, UNPRIVILEGED } from "../pods/pod.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { KUBELET_PATIENCE, kubelet } from "./build.ts";
import { Dockershim, type Infra } from "./dockershim.ts";

/** A pod that does nothing, and one whose container makes orphans without end. */
const [CALM, STORM] = ["calm", "storm"];
const MAKE_ORPHANS = "while :; do (sleep 0.1 &); sleep 0.02; done";

/** Orphans to watch. */
const ORPHANS = 30;

/** Signals that a container may send: all but SIGINT and SIGTERM, which tell pause to end. */
const UNHEEDED = "for n in $(seq 64); do case $n in 2|15) ;; *) kill -$n 1 || exit 1 ;; esac; done";

describeEngine("kubelet with dockershim", ["dockerd", "docker", "runc", "apt-get", "dpkg-source"], () => {
  // Before both sides start, which have less time.
  beforeAll(async () => void (await kubelet()), KUBELET_PATIENCE);
  const sides = bothSides(MACHINE, Dockershim.start);

  /** The current infra container of each side. */
  const infras = new Map<Dockershim, Infra>();

  /** The infra container of the calm pod. */
  function infra(node: Dockershim): Infra {
    const found = infras.get(node);
    if (!found) throw new Error("the pod did not start");
    return found;
  }

  /** Waits until the calm pod runs with another infra container, and returns what pause looks like in it. */
  async function anew(node: Dockershim): Promise<Readonly<Record<string, unknown>>> {
    const now = await node.ready(CALM, infra(node));
    infras.set(node, now);
    return atRest(node.host, now.pid);
  }

  beforeAll(async () => {
    const { ours, reference } = sides();
    for (const node of [ours, reference]) infras.set(node, await node.add(CALM, STAY));
    const kubeletVersion = await ours.host.output([await kubelet(), "--version"]);
    const dockerd = await ours.host.output(["dockerd", "--version"]);
    await record("kubelet with dockershim, versions", { kubelet: kubeletVersion, dockerd });
  }, 2 * PATIENCE);

  test(
    "docker ps lists k8s_POD, the flag's image and /pause, an unprivileged PID 1 of the shared namespace",
    () => {
      const { NoNewPrivs: _, ...privileges } = UNPRIVILEGED;
      const rest = { pid: "1", Threads: "1", executable: "/pause", ...privileges };
      const must = { image: true, command: '"/pause"', name: "k8s_POD_calm-node1_default", rest, seen: "/pause\0" };
      return compare(sides(), must, async (node) => {
        const format = ["--format", "{{.Image}} {{.Command}} {{.Names}}"];
        const listed = await node.docker.output("ps", ...format, "--filter", `id=${infra(node).id}`);
        const [image, command, name = ""] = listed.split(" ");
        return {
          image: image === node.pause,
          command,
          name: name.split("_").slice(0, 4).join("_"),
          rest: await atRest(node.host, infra(node).pid),
          seen: await node.exec(CALM, "cat /proc/1/cmdline"),
        };
      });
    },
    PATIENCE,
  );

  test(
    "a container makes orphans without end: all are adopted, no zombie is left",
    () =>
      compare(sides(), { adopted: true, reaped: true, pause: { pid: "1", Threads: "1" } }, async (node) => {
        const { pid: pause } = await node.add(STORM, MAKE_ORPHANS);
        const seen = new Set<number>();
        const adopted = await until("orphans are adopted", async () => {
          for (const { pid, parent } of node.host.processes()) if (parent === pause) seen.add(pid);
          return seen.size >= ORPHANS;
        });
        const gone = () => ![...seen].some((pid) => node.host.exists(pid));
        const reaped = await until("every orphan that was seen is reaped", gone).catch(() => false);
        const { pid, Threads } = await atRest(node.host, pause);
        return { adopted, reaped, pause: { pid, Threads } };
      }),
    PATIENCE,
  );

  test(
    "a container sends PID 1 every signal but two: nothing changes",
    () =>
      compare(sides(), { unmoved: true, same: true }, async (node) => {
        const before = await atRest(node.host, infra(node).pid);
        await node.exec(CALM, UNHEEDED);
        const unmoved = Bun.deepEquals(await atRest(node.host, infra(node).pid), before);
        return { unmoved, same: (await node.ready(CALM)).id === infra(node).id };
      }),
    PATIENCE,
  );

  test(
    "the infra container is killed: the pod is recreated",
    () =>
      compare(sides(), { pid: "1", Threads: "1", executable: "/pause" }, async (node) => {
        await node.host.kill(infra(node).pid, "KILL");
        return anew(node);
      }),
    2 * PATIENCE,
  );

  test(
    "the engine stops the infra container: it exits with 0 and says why, and the pod is recreated",
    () => {
      const must = { status: "0", said: "Shutting down, got signal: Terminated", again: { pid: "1", Threads: "1" } };
      return compare(sides(), must, async (node) => {
        const { id } = infra(node);
        // Both start before its end, because the kubelet may remove a dead container.
        const status = node.docker.output("wait", id);
        const said = node.docker.run("logs", "--follow", id);
        await node.docker.output("stop", id);
        const again = await anew(node);
        return { status: await status, said: (await said).stderr.trimEnd(), again };
      });
    },
    2 * PATIENCE,
  );

  test(
    "the pods are removed: no container, folder, cgroup or network device is left",
    () =>
      compare(sides(), { containers: [], folders: [], cgroups: [], devices: [] }, async (node) => {
        for (const pod of [CALM, STORM]) await node.remove(pod);
        // The kubelet removes dead containers once a minute.
        const nothing = async () => Object.values(await node.left()).flat().length === 0;
        await until("nothing is left", nothing, PATIENCE / 1000).catch(() => undefined);
        return node.left();
      }),
    4 * PATIENCE,
  );
});
