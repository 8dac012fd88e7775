/** Pods of a kubelet over CRI: one of 1.20, whose flag only keeps the image on the node, and one of today. */
import { beforeAll, test } from "bun:test";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../../scripts/linux/proc.ts";
import { Containerd } from "../containerd.ts";
import type { CriEngine } from "../cri-engine.ts";
import { Crio } from "../crio.ts";
import { type Generation, MACHINE, SID, TRIXIE } from "../generations.ts";
import type { Host } from "../host.ts";
import { type Image, pauseImage, referenceImage } from "../images.ts";
import { atRest, bothSides, compare, type Sides, STAY } from "../pods/pod.ts";
import { describeEngine, given, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
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

/** An engine, and a kubelet that talks to it. */
class Node implements AsyncDisposable {
  readonly engine: CriEngine;
  readonly host: Host;
  /** Name of the sandbox image. */
  readonly pause: string;
  readonly #busybox: string;
  /** An image that nothing uses. */
  readonly #idle: Image;
  readonly #kubelet: Kubelet;

  private constructor(engine: CriEngine, kubelet: Kubelet, pause: Image, busybox: Image, idle: Image) {
    this.engine = engine;
    this.host = engine.host;
    this.pause = pause.reference;
    this.#busybox = busybox.reference;
    this.#idle = idle;
    this.#kubelet = kubelet;
  }

  /**
   * Returns a function that starts the engine, with a separate file system for images, so that its usage does not depend
   * on the machine. The kubelet is not started yet.
   */
  static with(
    startEngine: (host: Host, pause: Image, busybox: Image) => Promise<CriEngine>,
    executable: () => Promise<string>,
  ) {
    return async (host: Host, pause: Image, busybox: Image): Promise<Node> => {
      const root = join(host.folder, "root");
      await mkdir(root);
      await host.output(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", root]);
      const ours = await pauseImage();
      const idle = pause.reference === ours.reference ? await referenceImage(host.folder) : ours;
      const engine = await startEngine(host, pause, busybox);
      const program = join(host.folder, "kubelet-program");
      await copyFile(await executable(), program);
      return new Node(engine, await Kubelet.on(host, program), pause, busybox, idle);
    };
  }

  /** Starts the kubelet, instead of the one that is running. */
  start(flags: readonly string[], configuration?: Readonly<Record<string, unknown>>): Promise<void> {
    return this.#kubelet.start([`--container-runtime-endpoint=${this.engine.endpoint}`, ...flags], configuration);
  }

  /** Adds the pod, waits until its container runs and returns the PID of pause on the host. */
  async add(): Promise<number> {
    await this.#kubelet.add(POD, this.#busybox, STAY);
    return until("the pod runs", () => this.running(), 120);
  }

  /** The PID of pause while both sandbox and container run. */
  async running(): Promise<number | undefined> {
    const { items } = await this.engine.cri.call("ListPodSandbox", {});
    const ready = items.find(({ state }) => state === "SANDBOX_READY");
    const { containers } = await this.engine.cri.call("ListContainers", {});
    const running = containers.filter(({ state }) => state === "CONTAINER_RUNNING");
    return ready && running.length === 1 ? (await this.engine.sandbox(ready.id)).pid : undefined;
  }

  /** True if the runtime has the sandbox image. */
  async has(reference = this.pause): Promise<boolean> {
    const { images } = await this.engine.cri.call("ListImages", {});
    return images.some(({ repoTags }) => repoTags.includes(reference));
  }

  /** Loads the image that nothing uses and waits until the kubelet has removed it: by then it has examined all images. */
  async collected(): Promise<boolean> {
    const { archive, reference } = this.#idle;
    await this.engine.load(archive);
    await until("the image is there", () => this.has(reference));
    return until("the image that nothing uses is removed", async () => !(await this.has(reference)), 150);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.engine[Symbol.asyncDispose]();
  }
}

/** Tests that a pod runs, as on any kubelet. */
function testPod(sides: () => Sides<Node>, flags: (node: Node) => readonly string[], settings: object): void {
  test(
    "a pod runs, with pause as PID 1 of the shared namespace, with one thread",
    () =>
      compare(sides(), { pid: "1", Threads: "1", executable: "/pause" }, async (node) => {
        await node.start(flags(node), { ...settings });
        return atRest(node.host, await node.add());
      }),
    2 * PATIENCE,
  );
}

// With this machine's containerd 1.6, which pins no image. A kubelet of 1.20 cannot talk to containerd 2, which has no
// CRI v1alpha2 any more, and knows no pins.
describeEngine("kubelet 1.20 over CRI", ["containerd", "ctr", "runc", "apt-get", "dpkg-source"], () => {
  // Before both sides start, which have less time.
  beforeAll(async () => void (await kubelet()), KUBELET_PATIENCE);
  const sides = bothSides(MACHINE, Node.with(Containerd.start, kubelet));
  const remote = ["--container-runtime=remote"];
  const withFlag = (node: Node) => [...remote, `--pod-infra-container-image=${node.pause}`];
  testPod(sides, withFlag, {});

  test(
    "images are collected: the flag keeps the one that it names, and the pod runs on",
    () =>
      compare(sides(), { collected: true, again: true, kept: true, same: true }, async (node) => {
        const before = await node.running();
        await node.start(withFlag(node), COLLECT);
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
        await node.start(remote, COLLECT);
        const gone = await until("the sandbox image is removed", async () => !(await node.has()), 150);
        return { gone, same: (await node.running()) === before };
      }),
    4 * PATIENCE,
  );
});

const today = given("KUBELET", "A kubelet of today");
const programs = process.env["CRIO"];

/** Tests the kubelet of today with an engine. That it is told which image is pinned, the engines' own tests show. */
function describeToday(name: string, generation: Generation, start: Parameters<typeof Node.with>[0]): void {
  describeEngine(`kubelet of today, ${name} of ${generation.name}`, generation.takes([]), () => {
    const sides = bothSides(
      generation,
      Node.with(start, () => Promise.resolve(today ?? "")),
    );
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
