/** Runs pods on an engine that speaks CRI, as a kubelet asks for them. */
import { until } from "../../scripts/linux/proc.ts";
import { type ContainerConfig, Cri, type NamespaceOptions, type PodSandboxConfig } from "./cri.ts";
import { Engine, type Member, type Pod, type PodOptions } from "./engine.ts";
import type { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";

/** A sandbox as PodSandboxStatus describes it. */
export interface Sandbox {
  readonly state: string;
  /** Empty if the pod has the node's network. */
  readonly ip: string;
  /** PID of pause on the host. */
  readonly pid: number;
}

/** The namespaces of an ordinary pod. */
export const POD: NamespaceOptions = { network: "POD", pid: "POD", ipc: "POD" };

/** An engine that is asked over its socket. */
export abstract class CriEngine extends Engine {
  readonly cri: Cri;
  /** The socket, as a kubelet names it. */
  readonly endpoint: string;
  readonly #busybox: string;
  readonly #configs = new Map<string, PodSandboxConfig>();

  protected constructor(
    host: Host,
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    socket: string,
    busybox?: Image | Pulled,
  ) {
    super(host, command, env);
    this.endpoint = `unix://${socket}`;
    this.cri = new Cri(socket);
    this.#busybox = busybox?.reference ?? "";
  }

  /** The exit status of a sandbox's pause: CRI does not say it. */
  protected abstract exitStatus(id: string): Promise<number>;

  /** True if the engine answers. */
  protected answers(): Promise<boolean> {
    return this.cri.call("Version", {}).then(
      () => true,
      () => false,
    );
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

  /** The state of a sandbox. */
  async sandbox(id: string): Promise<Sandbox> {
    const { status, info } = await this.cri.call("PodSandboxStatus", { id, verbose: true });
    const { pid } = JSON.parse(info["info"] ?? "{}") as { pid: number };
    return { state: status.state, ip: status.network?.ip ?? "", pid };
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
    const members = new Set<string>();
    return {
      pause: pid,
      join: async (member, script) => {
        const containerId = await this.#join(id, { name: member, attempt: members.size }, namespaces, script);
        members.add(containerId);
        const { remove, ...rest } = this.#member(containerId);
        return { ...rest, remove: () => remove().then(() => void members.delete(containerId)) };
      },
      running: async () => (await this.sandbox(id)).state === "SANDBOX_READY",
      stop: async () => void (await this.cri.call("StopPodSandbox", { podSandboxId: id })),
      exitStatus: () => this.exitStatus(id),
      // As a kubelet does: otherwise CRI-O waits for containers that ignore SIGTERM as long as its caller does.
      remove: async () => {
        for (const containerId of members) await this.cri.call("StopContainer", { containerId, timeout: 0 });
        await this.removeSandbox(id);
      },
    };
  }

  async #join(
    podSandboxId: string,
    metadata: ContainerConfig["metadata"],
    namespaceOptions: NamespaceOptions,
    script: string,
  ): Promise<string> {
    const sandboxConfig = this.#configs.get(podSandboxId);
    if (!sandboxConfig) throw new Error(`no sandbox ${podSandboxId}`);
    const config: ContainerConfig = {
      metadata,
      image: { image: this.#busybox, userSpecifiedImage: this.#busybox },
      command: ["sh", "-c", script],
      linux: { securityContext: { namespaceOptions } },
    };
    const { containerId } = await this.cri.call("CreateContainer", { podSandboxId, config, sandboxConfig });
    await this.cri.call("StartContainer", { containerId });
    return containerId;
  }

  #member(containerId: string): Member {
    const { cri } = this;
    return {
      async exec(text) {
        const { stdout, stderr, exitCode } = await cri.call("ExecSync", {
          containerId,
          cmd: ["sh", "-c", text],
          timeout: 60,
        });
        if (exitCode !== 0) throw new Error(`exec: status ${exitCode}: ${stderr}`);
        return stdout.toString().trimEnd();
      },
      exited: () =>
        until("the container has ended", async () => {
          const { status } = await cri.call("ContainerStatus", { id: containerId });
          return status.state === "CONTAINER_EXITED" ? { code: status.exitCode } : undefined;
        }).then(({ code }) => code),
      remove: async () => void (await cri.call("RemoveContainer", { containerId })),
    };
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.cri[Symbol.dispose]();
    await super[Symbol.asyncDispose]();
  }
}
