/** Starts a node from the time when the kubelet's flag chose the infra container's image: a kubelet with dockershim, and Docker. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../../package.json";
import { until } from "../../../scripts/linux/proc.ts";
import { Docker } from "../docker.ts";
import type { Host } from "../host.ts";
import type { Image } from "../images.ts";
import { CNI_PLUGINS, modestRuntime, podNetwork } from "../node.ts";
import { kubelet } from "./build.ts";
import { Kubelet } from "./kubelet.ts";

/** An infra container. */
export interface Infra {
  /** The engine's name for it, in hexadecimal. */
  readonly id: string;
  /** PID of pause on the host. */
  readonly pid: number;
}

/** A running node. */
export class Dockershim implements AsyncDisposable {
  readonly host: Host;
  readonly docker: Docker;
  /** The flag's value. */
  readonly pause: string;
  readonly #kubelet: Kubelet;

  private constructor(docker: Docker, pause: string, kubelet: Kubelet) {
    this.host = docker.host;
    this.docker = docker;
    this.pause = pause;
    this.#kubelet = kubelet;
  }

  /** Starts one whose kubelet is given `pause` under a name as Docker shows it, `myorg/pause-ts:VERSION`. */
  static async start(this: void, host: Host, pause: Image, busybox: Image): Promise<Dockershim> {
    const executable = await kubelet();
    const { folder } = host;
    const networks = await podNetwork(folder);
    const runtime = await modestRuntime(folder, "runc");
    const runtimes = { runtimes: { node: { path: runtime } }, "default-runtime": "node" };
    const docker = await Docker.start(host, pause, busybox, runtimes);
    const tag = pause.reference.replace(/^localhost\/(.*):.*$/, `myorg/$1:${pkg.version}`);
    await docker.output("tag", docker.pause, tag);
    await docker.output("rmi", docker.pause);
    const flags = [
      ...["--container-runtime=docker", `--docker-endpoint=unix://${folder}/docker.sock`],
      `--pod-infra-container-image=${tag}`,
      ...["--network-plugin=cni", `--cni-conf-dir=${networks}`, `--cni-bin-dir=${CNI_PLUGINS}`],
      `--cni-cache-dir=${folder}/cni-cache`,
    ];
    const node = await Kubelet.on(host, executable);
    await node.start(flags);
    return new Dockershim(docker, tag, node);
  }

  /** Adds a static pod whose container runs `sh -c script`, and waits until the engine runs all of it. */
  async add(pod: string, script: string): Promise<Infra> {
    await this.#kubelet.add(pod, this.docker.busybox, script);
    return this.ready(pod);
  }

  /** Waits until the pod has an infra container other than `old`, with its container in that PID namespace; returns it. */
  ready(pod: string, old?: Infra): Promise<Infra> {
    return until(
      `the pod ${pod} runs`,
      async () => {
        const [id, member] = [await this.#running("POD", pod), await this.#running("main", pod)];
        if (id === undefined || id === old?.id || member === undefined) return undefined;
        if ((await this.#inspect(member, ".HostConfig.PidMode")) !== `container:${id}`) return undefined;
        const pid = Number(await this.#inspect(id, ".State.Pid"));
        return pid !== 0 && { id, pid };
      },
      120,
    );
  }

  /** The engine's name for a running container of a pod; undefined if there is none. */
  async #running(container: string, pod: string): Promise<string | undefined> {
    const filter = ["--filter", `name=^/k8s_${container}_${pod}-`];
    const ids = await this.docker.output("ps", "--no-trunc", "--quiet", ...filter);
    return ids.split("\n").find((id) => id !== "");
  }

  /** A field of the engine's inspect; undefined if the container has gone meanwhile. */
  async #inspect(id: string, field: string): Promise<unknown> {
    return this.docker.inspect(id, field).catch(() => undefined);
  }

  /** Runs `sh -c script` in the container of a pod and returns what it wrote. Throws if it fails. */
  async exec(pod: string, script: string): Promise<string> {
    const id = await this.#running("main", pod);
    return this.docker.output("exec", id ?? "none", "sh", "-c", script);
  }

  /** Removes a static pod, without waiting. */
  remove(pod: string): Promise<void> {
    return this.#kubelet.remove(pod);
  }

  /** Traces of pods: containers (dead ones too), the kubelet's folders, cgroups, and network devices. */
  async left(): Promise<Readonly<Record<"containers" | "folders" | "cgroups" | "devices", readonly string[]>>> {
    const lines = (text: string) => text.split("\n").filter((line) => line !== "");
    const { folder, cgroup } = this.host;
    const groups = ["find", "/sys/fs/cgroup", "-type", "d", "-path", `*${cgroup}/kubepods/*/pod*`];
    return {
      containers: lines(await this.docker.output("ps", "--all", "--format", "{{.Names}}")),
      folders: await readdir(join(folder, "kubelet", "pods")),
      cgroups: lines((await this.host.run(groups)).stdout),
      devices: lines(await this.host.output(["ip", "-o", "link", "show", "type", "veth"])),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.docker[Symbol.asyncDispose]();
  }
}
