/** Starts a kubelet without an API server, which runs a static pod on a container engine. */
import { copyFile, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Engine } from "../engine.ts";
import type { Host } from "../host.ts";
import { STAY } from "../pods/pod.ts";

/**
 * The kernel settings that the kubelet wants (`setupKernelTunables` of pkg/kubelet/cm). They are the whole machine's, so
 * files with these values are mounted over them: the kubelet finds what it wants and changes nothing.
 */
const KERNEL = {
  "vm/overcommit_memory": 1,
  "vm/panic_on_oom": 0,
  "kernel/panic": 10,
  "kernel/panic_on_oops": 1,
  "kernel/keys/root_maxkeys": 1_000_000,
  "kernel/keys/root_maxbytes": 25_000_000,
};

/** Folders whose names are fixed in the kubelet (logs, device plugins): empty ones are mounted over the machine's. */
const FIXED = ["/var/lib", "/var/log"];

/** The node's address, which newer kubelets otherwise ask a name server for. They refuse those of the loopback. */
const ADDRESS = "10.201.0.1";

/** Asks the kubelet. */
const HEALTHY = 'exec 3<>/dev/tcp/127.0.0.1/10248; printf "GET /healthz HTTP/1.0\\r\\n\\r\\n" >&3; grep -q "^ok" <&3';

/** The name of the pod. */
export const POD = "calm";

/** A kubelet and its engine, which end together. */
export class Kubelet<E extends Engine> implements AsyncDisposable {
  readonly engine: E;
  #daemon: Subprocess | undefined;
  #starts = 0;

  private constructor(engine: E) {
    this.engine = engine;
  }

  /** The engine's host. */
  get host(): Host {
    return this.engine.host;
  }

  /** The path of what is called `name` in the host's folder: the executable is `kubelet-program`. */
  #path(name: string): string {
    return join(this.host.folder, name);
  }

  /** Prepares the engine's host for the kubelet with this executable, without starting it. */
  static async on<E extends Engine>(engine: E, executable: string): Promise<Kubelet<E>> {
    const kubelet = new Kubelet(engine);
    const { host } = engine;
    // A host with another root sees its own folder.
    await copyFile(executable, kubelet.#path("kubelet-program"));
    for (const name of ["manifests", "kernel"]) await mkdir(kubelet.#path(name));
    await host.output(["ip", "link", "set", "lo", "up"]);
    await host.output(["ip", "address", "add", `${ADDRESS}/32`, "dev", "lo"]);
    for (const folder of FIXED) await host.output(["mount", "-t", "tmpfs", "tmpfs", folder]);
    for (const [name, value] of Object.entries(KERNEL)) {
      const file = join(kubelet.#path("kernel"), name.replaceAll("/", "."));
      await Bun.write(file, `${value}\n`);
      await host.output(["mount", "--bind", file, `/proc/sys/${name}`]);
    }
    // The kubelet puts /kubepods below a group that must exist in every hierarchy.
    const script = 'for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$1"; done';
    await host.output(["sh", "-c", script, "sh", host.cgroup.slice(1)]);
    return kubelet;
  }

  /**
   * Starts it with flags and with fields of its configuration besides those that every kubelet here has. It replaces a
   * running one, whose pods stay. Throws with its last messages if it does not come up.
   */
  async start(flags: readonly string[], configuration: Readonly<Record<string, unknown>> = {}): Promise<void> {
    if (this.#daemon) await this.#stop(this.#daemon);
    const { host } = this;
    const settings = {
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: "AlwaysAllow" },
      staticPodPath: this.#path("manifests"),
      fileCheckFrequency: "1s",
      syncFrequency: "5s",
      address: "127.0.0.1",
      healthzPort: 10248,
      cgroupDriver: "cgroupfs",
      cgroupRoot: host.cgroup,
      protectKernelDefaults: true,
      makeIPTablesUtilChains: false,
      hairpinMode: "none",
      failSwapOn: false,
      enableControllerAttachDetach: false,
      enforceNodeAllocatable: [],
      localStorageCapacityIsolation: false,
      oomScoreAdj: 0,
      evictionHard: {},
      ...configuration,
    };
    await Bun.write(this.#path("kubelet.json"), JSON.stringify(settings));
    const command = [
      ...[this.#path("kubelet-program"), "--config", this.#path("kubelet.json"), "--root-dir", this.#path("kubelet")],
      ...["--cert-dir", this.#path("certificates"), "--volume-plugin-dir", this.#path("plugins")],
      ...["--hostname-override", "node1", "--node-ip", ADDRESS, ...flags],
    ];
    const healthy = async () => (await host.run(["bash", "-c", HEALTHY])).status === 0;
    this.#daemon = await host.daemon(`kubelet-${this.#starts++}`, command, healthy);
  }

  /** Ends the kubelet, but not its pods. */
  async #stop(daemon: Subprocess): Promise<void> {
    // It is the child of the one that entered the host's namespaces, which ends with it.
    await this.host.output(["pkill", "-KILL", "-f", "--", `--config ${this.#path("kubelet.json")}`]);
    await daemon.exited;
  }

  /** Adds the pod: its container `main` does nothing and sees pause as PID 1. */
  async add(): Promise<void> {
    const container = { image: this.engine.busybox, imagePullPolicy: "Never", command: ["sh", "-c", STAY] };
    const manifest = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: POD, namespace: "default" },
      spec: {
        shareProcessNamespace: true,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "main", ...container }],
      },
    };
    // The kubelet must not read half of it.
    await Bun.write(this.#path("pod.json"), JSON.stringify(manifest));
    await rename(this.#path("pod.json"), this.#path("manifests/pod.json"));
  }

  /** Removes the pod, without waiting. */
  remove(): Promise<void> {
    return rm(this.#path("manifests/pod.json"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.engine[Symbol.asyncDispose]();
  }
}
