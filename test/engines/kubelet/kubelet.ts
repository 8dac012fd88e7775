/** Starts a kubelet without an API server, which runs the static pods that are put into its folder. */
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Host } from "../host.ts";

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

/** A running kubelet. What it starts and keeps belongs to the host, and goes with it. */
export class Kubelet {
  readonly host: Host;
  readonly #executable: string;
  #daemon: Subprocess | undefined;
  #starts = 0;

  private constructor(host: Host, executable: string) {
    this.host = host;
    this.#executable = executable;
  }

  /** Prepares a host for the kubelet with this executable, without starting it. */
  static async on(host: Host, executable: string): Promise<Kubelet> {
    const kubelet = new Kubelet(host, executable);
    await kubelet.#prepare();
    return kubelet;
  }

  /** The folder of the static pods. */
  get #manifests(): string {
    return join(this.host.folder, "manifests");
  }

  async #prepare(): Promise<void> {
    const { host } = this;
    await mkdir(this.#manifests);
    await mkdir(join(host.folder, "kernel"));
    await host.output(["ip", "link", "set", "lo", "up"]);
    await host.output(["ip", "address", "add", `${ADDRESS}/32`, "dev", "lo"]);
    for (const folder of FIXED) await host.output(["mount", "-t", "tmpfs", "tmpfs", folder]);
    for (const [name, value] of Object.entries(KERNEL)) {
      const file = join(host.folder, "kernel", name.replaceAll("/", "."));
      await Bun.write(file, `${value}\n`);
      await host.output(["mount", "--bind", file, `/proc/sys/${name}`]);
    }
    // The kubelet puts /kubepods below a group that must exist in every hierarchy.
    const script = 'for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$1"; done';
    await host.output(["sh", "-c", script, "sh", host.cgroup.slice(1)]);
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
      staticPodPath: this.#manifests,
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
    const name = `kubelet-${this.#starts++}`;
    const file = join(host.folder, "kubelet.json");
    await Bun.write(file, JSON.stringify(settings));
    const command = [
      ...[this.#executable, "--config", file, "--root-dir", join(host.folder, "kubelet")],
      ...["--cert-dir", join(host.folder, "certificates"), "--volume-plugin-dir", join(host.folder, "plugins")],
      ...["--hostname-override", "node1", "--node-ip", ADDRESS, ...flags],
    ];
    this.#daemon = await host.daemon(name, command, async () => (await host.run(["bash", "-c", HEALTHY])).status === 0);
  }

  /** Ends the kubelet, but not its pods. */
  async #stop(daemon: Subprocess): Promise<void> {
    // It is the child of the one that entered the host's namespaces, which ends with it.
    const processes = await this.host.output(["pgrep", "-f", "--", `--config ${this.host.folder}/kubelet.json`]);
    for (const pid of processes.split("\n")) await this.host.kill(Number(pid), "KILL");
    await daemon.exited;
  }

  /** Adds a static pod: its container `main` runs `sh -c script` and sees pause as PID 1. */
  async add(pod: string, image: string, script: string): Promise<void> {
    const manifest = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: pod, namespace: "default" },
      spec: {
        shareProcessNamespace: true,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "main", image, imagePullPolicy: "Never", command: ["sh", "-c", script] }],
      },
    };
    const path = join(this.#manifests, `${pod}.json`);
    // The kubelet must not read half of it, and ignores names that begin with a dot.
    await Bun.write(join(this.#manifests, `.${pod}`), JSON.stringify(manifest));
    await rename(join(this.#manifests, `.${pod}`), path);
  }

  /** Removes a static pod. */
  async remove(pod: string): Promise<void> {
    await rm(join(this.#manifests, `${pod}.json`));
  }
}
