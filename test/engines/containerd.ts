/** Starts containerd as a CRI runtime whose sandboxes run a given pause image. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../scripts/linux/proc.ts";
import { type ContainerConfig, Cri, type NamespaceOptions, type PodSandboxConfig } from "./cri.ts";
import { Engine, type Member, type Pod, type PodOptions } from "./engine.ts";
import type { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";
import type { RuntimeSpec } from "./oci.ts";

/** A sandbox as PodSandboxStatus describes it. */
export interface Sandbox {
  readonly state: string;
  /** Empty if the pod has the node's network. */
  readonly ip: string;
  /** PID of pause on the host. */
  readonly pid: number;
  /** The OCI runtime configuration that containerd made. */
  readonly runtimeSpec: RuntimeSpec;
}

/** Where the distribution keeps the CNI plugins. */
export const CNI_PLUGINS = "/usr/lib/cni";

/** containerd's configuration before version 2: everything below `folder`, the rest as shipped. */
function configuration2(folder: string, sandboxImage: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${folder}/containerd.sock"
[${cri}]
  sandbox_image = "${sandboxImage}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_port = "0"
  [${cri}.cni]
    bin_dir = "${CNI_PLUGINS}"
    conf_dir = "${folder}/cni"
  [${cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;
}

/** The same from containerd 2 on, which takes the sandbox image from those that it pins. */
function configuration3(folder: string, sandboxImage: string): string {
  const [images, runtime] = ['plugins."io.containerd.cri.v1.images"', 'plugins."io.containerd.cri.v1.runtime"'];
  return `version = 3
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${folder}/containerd.sock"
[${images}.pinned_images]
  sandbox = "${sandboxImage}"
[${runtime}]
  disable_apparmor = true
  restrict_oom_score_adj = true
  [${runtime}.cni]
    bin_dirs = ["${CNI_PLUGINS}"]
    conf_dir = "${folder}/cni"
  [${runtime}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_port = "0"
`;
}

/** A network of the host's own: a bridge without a gateway to the outside. */
export function network(folder: string): unknown {
  const ipam = { type: "host-local", subnet: "10.200.0.0/16", dataDir: `${folder}/addresses` };
  const bridge = { type: "bridge", bridge: "pods0", isGateway: false, ipMasq: false, ipam };
  return { cniVersion: "0.4.0", name: "pods", plugins: [bridge] };
}

/** The namespaces of an ordinary pod. */
export const POD: NamespaceOptions = { network: "POD", pid: "POD", ipc: "POD" };

/** The resources used by a container engine and all that it has started. */
export interface Taken {
  /** Processor time of the engine, its helpers and the containers since it started, in seconds. */
  readonly processorSeconds: number;
  /** Memory charged to the containers now, in MiB. */
  readonly memoryMiB: number;
}

/** Joins the group `daemon` in the cgroup `$0`, in the hierarchy that counts processor time (v1 or v2), and runs the rest. */
const COUNTED = `for folder in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
  [ -e "$folder/cgroup.procs" ] || continue
  mkdir -p "$folder$0/daemon"
  echo $$ >"$folder$0/daemon/cgroup.procs"
  break
done
exec "$@"`;

/** Prints the nanoseconds of processor time and the bytes of memory charged to the cgroup `$0` (v1 or v2). */
const CHARGED = `folder=/sys/fs/cgroup
if [ -e $folder/cgroup.procs ]; then
  while read -r key value; do [ "$key" != usage_usec ] || echo "\${value}000"; done <"$folder$0/cpu.stat"
  cat "$folder$0/memory.current"
else
  cat "$folder/cpuacct$0/cpuacct.usage"
  cat "$folder/memory$0/memory.usage_in_bytes" 2>/dev/null || echo 0
fi`;

/** A running containerd. Its command is ctr, in the namespace of the images that pods use. */
export class Containerd extends Engine {
  /** Whether it tells a kubelet which images not to collect: from 1.7 on. */
  readonly pins: boolean;
  readonly cri: Cri;
  readonly #busybox: string;
  readonly #configs = new Map<string, PodSandboxConfig>();

  private constructor(host: Host, pins: boolean, busybox: string) {
    const address = join(host.folder, "containerd.sock");
    super(host, ["ctr"], { CONTAINERD_ADDRESS: address, CONTAINERD_NAMESPACE: "k8s.io" });
    this.pins = pins;
    this.cri = new Cri(address);
    this.#busybox = busybox;
  }

  /** Starts containerd with `pause` as its sandbox image, which it loads now or pulls for the first pod. */
  static async start(this: void, host: Host, pause?: Image | Pulled, busybox?: Image): Promise<Containerd> {
    const { folder } = host;
    const version = / v?(\d+)\.(\d+)\./.exec(await host.output(["containerd", "--version"]));
    const [, major = Number.NaN, minor = Number.NaN] = (version ?? []).map(Number);
    await mkdir(join(folder, "cni"));
    await Bun.write(join(folder, "cni", "pods.conflist"), JSON.stringify(network(folder)));
    const configuration = major < 2 ? configuration2 : configuration3;
    await Bun.write(join(folder, "containerd.toml"), configuration(folder, pause?.reference ?? ""));
    const containerd = new Containerd(host, major > 1 || minor >= 7, busybox?.reference ?? "");
    const command = ["sh", "-ec", COUNTED, host.cgroup, "containerd", "--config", join(folder, "containerd.toml")];
    await host.daemon("containerd", command, () =>
      containerd.cri.call("Version", {}).then(
        () => true,
        () => false,
      ),
    );
    for (const image of [pause, busybox]) if (image?.archive) await containerd.load(image.archive);
    const events = ["ctr", "--address", join(folder, "containerd.sock"), "events"];
    await host.daemon("events", events, () => Promise.resolve(true));
    return containerd;
  }

  load(archive: string): Promise<string> {
    return this.output("images", "import", archive);
  }

  /** What it and all that it has started have used so far. */
  async taken(): Promise<Taken> {
    const { cgroup } = this.host;
    const [time, memory] = (await this.host.output(["sh", "-ec", CHARGED, cgroup])).split("\n").map(Number);
    return { processorSeconds: (time ?? Number.NaN) / 1e9, memoryMiB: (memory ?? Number.NaN) / 2 ** 20 };
  }

  /** RunPodSandbox with the given namespaces; returns the sandbox's ID. */
  async runSandbox(name: string, namespaceOptions: NamespaceOptions): Promise<string> {
    const config: PodSandboxConfig = {
      metadata: { name, uid: name, namespace: "default" },
      hostname: namespaceOptions.network === "NODE" ? "" : name,
      linux: {
        cgroupParent: this.host.cgroup,
        securityContext: { namespaceOptions, seccomp: { profileType: "RuntimeDefault" } },
      },
    };
    const { podSandboxId } = await this.cri.call("RunPodSandbox", { config });
    this.#configs.set(podSandboxId, config);
    return podSandboxId;
  }

  /** What the runtime knows about a sandbox. */
  async sandbox(id: string): Promise<Sandbox> {
    const answer = await this.cri.call("PodSandboxStatus", { id, verbose: true });
    const { status } = answer;
    const { info = "{}" } = answer.info;
    const details = JSON.parse(info) as Pick<Sandbox, "pid" | "runtimeSpec">;
    return { state: status.state, ip: status.network?.ip ?? "", pid: details.pid, runtimeSpec: details.runtimeSpec };
  }

  /** Stops and removes a sandbox. */
  async removeSandbox(id: string): Promise<void> {
    await this.cri.call("StopPodSandbox", { podSandboxId: id });
    await this.cri.call("RemovePodSandbox", { podSandboxId: id });
  }

  async startPod(name: string, { sharedPid }: PodOptions): Promise<Pod> {
    const namespaces: NamespaceOptions = { ...POD, pid: sharedPid ? "POD" : "CONTAINER" };
    const id = await this.runSandbox(name, namespaces);
    const { pid } = await this.sandbox(id);
    let attempt = 0;
    return {
      pause: pid,
      join: (member, script) => this.#join(id, { name: member, attempt: attempt++ }, namespaces, script),
      running: async () => (await this.sandbox(id)).state === "SANDBOX_READY",
      stop: () => this.cri.call("StopPodSandbox", { podSandboxId: id }).then(() => undefined),
      exitStatus: () => this.#exitStatus(id),
      remove: () => this.removeSandbox(id),
    };
  }

  async #join(
    podSandboxId: string,
    metadata: ContainerConfig["metadata"],
    namespaceOptions: NamespaceOptions,
    script: string,
  ): Promise<Member> {
    const { cri } = this;
    const sandboxConfig = this.#configs.get(podSandboxId);
    if (!sandboxConfig) throw new Error(`no sandbox ${podSandboxId}`);
    const config: ContainerConfig = {
      metadata,
      image: { image: this.#busybox },
      command: ["sh", "-c", script],
      linux: { securityContext: { namespaceOptions } },
    };
    const { containerId } = await cri.call("CreateContainer", { podSandboxId, config, sandboxConfig });
    await cri.call("StartContainer", { containerId });
    return {
      async exec(text) {
        const { stdout, stderr, exitCode } = await cri.call("ExecSync", {
          containerId,
          cmd: ["sh", "-c", text],
          timeout: 60,
        });
        if (exitCode !== 0) throw new Error(`exec: status ${exitCode}: ${stderr}`);
        return stdout.toString();
      },
      exited: () =>
        until("the container has ended", async () => {
          const { status } = await cri.call("ContainerStatus", { id: containerId });
          return status.state === "CONTAINER_EXITED" ? { code: status.exitCode } : undefined;
        }).then(({ code }) => code),
      remove: () => cri.call("RemoveContainer", { containerId }).then(() => undefined),
    };
  }

  /** CRI does not say how a sandbox ended; containerd's own events do. They omit a status of 0. */
  async #exitStatus(id: string): Promise<number> {
    const log = Bun.file(join(this.host.folder, "events.log"));
    const event = await until("the exit is reported", async () =>
      (await log.text()).split("\n").find((line) => line.includes(" /tasks/exit ") && line.includes(`"id":"${id}"`)),
    );
    return Number(/"exit_status":(\d+)/.exec(event)?.[1] ?? 0);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.cri[Symbol.dispose]();
    await super[Symbol.asyncDispose]();
  }
}
