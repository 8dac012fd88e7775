/** Pods of a kubelet over CRI, where its flag only keeps the image on the node. */
import { beforeAll, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../../scripts/linux/proc.ts";
import { Containerd } from "../containerd.ts";
import { MACHINE } from "../generations.ts";
import type { Host } from "../host.ts";
import { type Image, pauseImage, referenceImage } from "../images.ts";
import { atRest, bothSides, compare, UNPRIVILEGED } from "../pods/pod.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { KUBELET_PATIENCE, kubelet } from "./build.ts";
import { Kubelet } from "./kubelet.ts";

/** Collects every image without a container, however full its file system of 1 GiB is. */
const COLLECT = {
  imageMinimumGCAge: "1s",
  imageGCHighThresholdPercent: 1,
  imageGCLowThresholdPercent: 0,
  // The two thresholds above are checked every five minutes, this one every ten seconds.
  evictionHard: { "imagefs.available": "1Gi" },
};

/** The pod that stays. */
const POD = "calm";

/** containerd and a kubelet that talks to it. */
class Node implements AsyncDisposable {
  readonly containerd: Containerd;
  /** Name of the sandbox image. */
  readonly pause: string;
  readonly #busybox: string;
  /** An image that nothing uses. */
  readonly #idle: Image;
  readonly #kubelet: Kubelet;

  private constructor(containerd: Containerd, kubelet: Kubelet, pause: Image, busybox: Image, idle: Image) {
    this.containerd = containerd;
    this.pause = pause.reference;
    this.#busybox = busybox.reference;
    this.#idle = idle;
    this.#kubelet = kubelet;
  }

  /** Starts containerd with a separate file system for images, so that its usage does not depend on the machine. */
  static async start(this: void, host: Host, pause: Image, busybox: Image): Promise<Node> {
    const root = join(host.folder, "root");
    await mkdir(root);
    await host.output(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", root]);
    const ours = await pauseImage();
    const idle = pause.reference === ours.reference ? await referenceImage(host.folder) : ours;
    const containerd = await Containerd.start(host, pause, busybox);
    return new Node(containerd, await Kubelet.on(host, await kubelet()), pause, busybox, idle);
  }

  get host(): Host {
    return this.containerd.host;
  }

  /** Starts the kubelet, instead of the one that is running. */
  start(flags: readonly string[], configuration?: Readonly<Record<string, unknown>>): Promise<void> {
    const endpoint = `--container-runtime-endpoint=unix://${this.host.folder}/containerd.sock`;
    return this.#kubelet.start(["--container-runtime=remote", endpoint, ...flags], configuration);
  }

  /** Adds the pod, waits until its container runs and returns the PID of pause on the host. */
  async add(): Promise<number> {
    await this.#kubelet.add(POD, this.#busybox, [{ name: "stay", script: "exec sleep 86400" }]);
    return until("the pod runs", () => this.running(), 120);
  }

  /** The PID of pause while both sandbox and container run. */
  async running(): Promise<number | undefined> {
    const { items } = await this.containerd.cri.call("ListPodSandbox", {});
    const ready = items.find(({ state }) => state === "SANDBOX_READY");
    // containerd's only tasks are the container and pause.
    const tasks = (await this.containerd.output("tasks", "ls")).match(/ RUNNING$/gm)?.length;
    return ready && tasks === 2 ? (await this.containerd.sandbox(ready.id)).pid : undefined;
  }

  /** Whether the runtime has the sandbox image. */
  async has(reference = this.pause): Promise<boolean> {
    const { images } = await this.containerd.cri.call("ListImages", {});
    return images.some(({ repoTags }) => repoTags.includes(reference));
  }

  /** Loads the image that nothing uses and waits until the kubelet has removed it: by then it has examined all images. */
  async collected(): Promise<boolean> {
    const { archive, reference } = this.#idle;
    await this.containerd.load(archive);
    await until("the image is there", () => this.has(reference));
    return until("the image that nothing uses is removed", async () => !(await this.has(reference)), 150);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.containerd[Symbol.asyncDispose]();
  }
}

// With this machine's containerd 1.6, which pins no image. A kubelet of 1.20 cannot talk to containerd 2, which has no
// CRI v1alpha2 any more, and knows no pins: what containerd 2 tells a newer one is tested in pods/containerd.test.ts.
describeEngine("kubelet over CRI", ["containerd", "ctr", "runc", "apt-get", "dpkg-source"], () => {
  // Before both sides start, which have less time.
  beforeAll(async () => void (await kubelet()), KUBELET_PATIENCE);
  const sides = bothSides(MACHINE, Node.start);

  test(
    "a pod runs, with pause as an unprivileged PID 1 of the shared namespace, with one thread",
    () => {
      const must = { pid: "1", Threads: "1", executable: "/pause", ...UNPRIVILEGED };
      return compare(sides(), must, async (node) => {
        await node.start([`--pod-infra-container-image=${node.pause}`]);
        return atRest(node.host, await node.add());
      });
    },
    2 * PATIENCE,
  );

  test(
    "images are collected: the flag keeps the one that it names, and the pod runs on",
    () =>
      compare(sides(), { collected: true, again: true, kept: true, same: true }, async (node) => {
        const before = await node.running();
        await node.start([`--pod-infra-container-image=${node.pause}`], COLLECT);
        const [collected, again] = [await node.collected(), await node.collected()];
        return { collected, again, kept: await node.has(), same: (await node.running()) === before };
      }),
    4 * PATIENCE,
  );

  test(
    "images are collected: without the flag it goes, and the pod runs on",
    () =>
      compare(sides(), { gone: true, same: true }, async (node) => {
        const before = await node.running();
        await node.start([], COLLECT);
        const gone = await until("the sandbox image is removed", async () => !(await node.has()), 150);
        return { gone, same: (await node.running()) === before };
      }),
    4 * PATIENCE,
  );
});
