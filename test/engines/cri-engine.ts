/** Runs pods on an engine that speaks CRI, as a kubelet asks for them. */
import { until } from "../../scripts/linux/proc.ts";
import { Cri } from "./cri.ts";
import { Engine, type Member, type Pod, type PodOptions } from "./engine.ts";
import type { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";

/** The owner of each of a pod's namespaces. */
export type Namespaces = Readonly<Record<"network" | "pid" | "ipc", "POD" | "CONTAINER" | "NODE">>;

/** Those of an ordinary pod. */
export const POD: Namespaces = { network: "POD", pid: "POD", ipc: "POD" };

/** An engine that is asked over its socket. */
export abstract class CriEngine extends Engine {
  readonly cri: Cri;
  /** The socket, as a kubelet names it. */
  readonly endpoint: string;

  protected constructor(
    host: Host,
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    socket: string,
    pause?: Image | Pulled,
    busybox?: Image,
  ) {
    super(host, command, env, pause, busybox);
    this.endpoint = `unix://${socket}`;
    this.cri = new Cri(socket);
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

  /** A sandbox, as RunPodSandbox and CreateContainer are told. */
  #config(name: string, namespaceOptions: Namespaces): object {
    const securityContext = { namespaceOptions, seccomp: { profileType: "RuntimeDefault" } };
    return {
      metadata: { name, uid: name, namespace: "default" },
      hostname: namespaceOptions.network === "NODE" ? "" : name,
      linux: { cgroupParent: this.host.cgroup, securityContext },
    };
  }

  /** RunPodSandbox with the given namespaces; returns the sandbox's ID. */
  async runSandbox(name: string, namespaces: Namespaces): Promise<string> {
    return (await this.cri.call("RunPodSandbox", { config: this.#config(name, namespaces) })).podSandboxId;
  }

  /** The state of a sandbox; its address, empty if it has the node's network; the PID of pause on the host. */
  async sandbox(id: string): Promise<{ readonly state: string; readonly ip: string; readonly pid: number }> {
    const { status, info } = await this.cri.call("PodSandboxStatus", { id, verbose: true });
    const { pid } = JSON.parse(info["info"] ?? "{}") as { pid: number };
    return { state: status.state, ip: status.network?.ip ?? "", pid };
  }

  /** Stops and removes a sandbox. */
  async removeSandbox(podSandboxId: string): Promise<void> {
    await this.cri.call("StopPodSandbox", { podSandboxId });
    await this.cri.call("RemovePodSandbox", { podSandboxId });
  }

  async startPod(name: string, { sharedPid }: PodOptions): Promise<Pod> {
    const namespaceOptions: Namespaces = { ...POD, pid: sharedPid ? "POD" : "CONTAINER" };
    const podSandboxId = await this.runSandbox(name, namespaceOptions);
    const { pid } = await this.sandbox(podSandboxId);
    const members: string[] = [];
    return {
      pause: pid,
      join: async (member, script) => {
        const config = {
          metadata: { name: member, attempt: members.length },
          // The second as the pod names it: CRI-O wants it.
          image: { image: this.busybox, userSpecifiedImage: this.busybox },
          command: ["sh", "-c", script],
          linux: { securityContext: { namespaceOptions } },
        };
        const sandboxConfig = this.#config(name, namespaceOptions);
        const { containerId } = await this.cri.call("CreateContainer", { podSandboxId, config, sandboxConfig });
        await this.cri.call("StartContainer", { containerId });
        members.push(containerId);
        return this.#member(containerId);
      },
      running: async () => (await this.sandbox(podSandboxId)).state === "SANDBOX_READY",
      stop: async () => void (await this.cri.call("StopPodSandbox", { podSandboxId })),
      exitStatus: () => this.exitStatus(podSandboxId),
      // As a kubelet does: otherwise CRI-O waits for containers that ignore SIGTERM as long as its caller does.
      remove: async () => {
        const stop = (containerId: string) => this.cri.call("StopContainer", { containerId, timeout: 0 });
        // containerd 1.6 does not know one that was removed any more.
        for (const containerId of members) await stop(containerId).catch(() => undefined);
        await this.removeSandbox(podSandboxId);
      },
    };
  }

  #member(containerId: string): Member {
    const { cri } = this;
    return {
      async exec(text) {
        const request = { containerId, cmd: ["sh", "-c", text], timeout: 60 };
        const { stdout, stderr, exitCode } = await cri.call("ExecSync", request);
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
