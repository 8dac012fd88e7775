/** Pods of a kubelet over CRI: one of 1.20, whose flag only keeps the image on the node, and one of today. */
import { beforeAll, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../../scripts/linux/proc.ts";
import { Containerd } from "../containerd.ts";
import type { CriEngine } from "../cri-engine.ts";
import { Crio } from "../crio.ts";
import { type Generation, MACHINE, SID, TRIXIE } from "../generations.ts";
import type { Host } from "../host.ts";
import { busyboxRoot, type Image, imageOf } from "../images.ts";
import { atRest, bothSides, compare, type Sides } from "../pods/pod.ts";
import { describeEngine, given, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { KUBELET_PATIENCE, kubelet } from "./build.ts";
import { Kubelet } from "./kubelet.ts";

type Node = Kubelet<CriEngine>;

/** Collects every image without a container, however full its file system of 1 GiB is. */
const COLLECT = {
  imageMinimumGCAge: "1s",
  imageGCHighThresholdPercent: 1,
  imageGCLowThresholdPercent: 0,
  // The two thresholds above are checked every five minutes, this one every ten seconds.
  evictionHard: { "imagefs.available": "1Gi" },
};

/** Both sides of an engine, each with a kubelet that is not started yet. */
function nodes(
  generation: Generation,
  start: (host: Host, pause: Image, busybox: Image) => Promise<CriEngine>,
  executable: () => Promise<string>,
): () => Sides<Node> {
  return bothSides(generation, async (host, pause, busybox) => {
    // A file system for images alone, so that its usage does not depend on the machine.
    const root = join(host.folder, "root");
    await mkdir(root);
    await host.output(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", root]);
    return Kubelet.on(await start(host, pause, busybox), await executable());
  });
}

/** Starts the kubelet, instead of the one that is running. */
function start(node: Node, flags: readonly string[], configuration = {}): Promise<void> {
  return node.start([`--container-runtime-endpoint=${node.engine.endpoint}`, ...flags], configuration);
}

/** The PID of pause while both sandbox and container run. */
async function running({ engine }: Node): Promise<number | undefined> {
  const { items } = await engine.cri.call("ListPodSandbox", {});
  const ready = items.find(({ state }) => state === "SANDBOX_READY");
  const { containers } = await engine.cri.call("ListContainers", {});
  const running = containers.filter(({ state }) => state === "CONTAINER_RUNNING");
  return ready && running.length === 1 ? (await engine.sandbox(ready.id)).pid : undefined;
}

/** True if the engine has the image. */
async function has({ engine }: Node, reference = engine.pause): Promise<boolean> {
  const { images } = await engine.cri.call("ListImages", {});
  return images.some(({ repoTags }) => repoTags.includes(reference));
}

/** Loads an image that nothing uses and waits until the kubelet has removed it: by then it has examined all images. */
async function collected(node: Node): Promise<boolean> {
  const { archive, reference } = await imageOf(await busyboxRoot(), "localhost/idle:test", {});
  await node.engine.load(archive);
  await until("the image is there", () => has(node, reference));
  return until("the image that nothing uses is removed", async () => !(await has(node, reference)), 150);
}

/** Tests that a pod runs, as on any kubelet. */
function testPod(sides: () => Sides<Node>, flags: (node: Node) => readonly string[], settings: object): void {
  test(
    "a pod runs, with pause as PID 1 of the shared namespace, with one thread",
    () =>
      compare(sides(), { pid: "1", Threads: "1", executable: "/pause" }, async (node) => {
        await start(node, flags(node), settings);
        await node.add();
        return atRest(node.host, await until("the pod runs", () => running(node), 120));
      }),
    2 * PATIENCE,
  );
}

// With this machine's containerd 1.6, which pins no image. A kubelet of 1.20 cannot talk to containerd 2, which has no
// CRI v1alpha2 any more, and knows no pins.
describeEngine("kubelet 1.20 over CRI", ["containerd", "ctr", "runc", "apt-get", "dpkg-source"], () => {
  // Before both sides start, which have less time.
  beforeAll(async () => void (await kubelet()), KUBELET_PATIENCE);
  const sides = nodes(MACHINE, Containerd.start, kubelet);
  const remote = ["--container-runtime=remote"];
  const withFlag = ({ engine }: Node) => [...remote, `--pod-infra-container-image=${engine.pause}`];
  testPod(sides, withFlag, {});

  test(
    "images are collected: the flag keeps the one that it names, and the pod runs on",
    () =>
      compare(sides(), { collected: true, again: true, kept: true, same: true }, async (node) => {
        const before = await running(node);
        await start(node, withFlag(node), COLLECT);
        const [once, again] = [await collected(node), await collected(node)];
        return { collected: once, again, kept: await has(node), same: (await running(node)) === before };
      }),
    4 * PATIENCE,
  );

  test(
    "images are collected: without the flag it goes, and the pod runs on",
    () =>
      compare(sides(), { gone: true, same: true }, async (node) => {
        const before = await running(node);
        await start(node, remote, COLLECT);
        const gone = await until("the sandbox image is removed", async () => !(await has(node)), 150);
        return { gone, same: (await running(node)) === before };
      }),
    4 * PATIENCE,
  );
});

const today = given("KUBELET", "A kubelet of today");
const programs = process.env["CRIO"];

/** Tests the kubelet of today with an engine. That it is told which image is pinned, the engines' own tests show. */
function describeToday(name: string, generation: Generation, engine: Parameters<typeof nodes>[1]): void {
  describeEngine(`kubelet of today, ${name} of ${generation.name}`, generation.takes([]), () => {
    const sides = nodes(generation, engine, () => Promise.resolve(today ?? ""));
    testPod(sides, () => [], { failCgroupV1: false });

    test("its version and the engine's are recorded", async () => {
      const { host, engine } = sides().ours;
      const kubelet = await host.output([join(host.folder, "kubelet-program"), "--version"]);
      await record(`kubelet of today, ${name}`, { kubelet, ...(await engine.cri.call("Version", {})) });
    });
  });
}

if (today !== undefined) {
  if (SID) describeToday("containerd", SID, Containerd.start);
  if (programs !== undefined) describeToday("CRI-O", TRIXIE, (...given) => Crio.start(programs, ...given));
}
