/** Runs podman with storage, state and configuration of its own; buildah and skopeo, with its environment, share them. */
import { mkdir } from "node:fs/promises";
import { CommandLine, type Pod, type PodOptions } from "./engine.ts";
import type { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";

/** The names of namespaces that a pod's containers share with pause, as podman calls them. */
const SHARED = "net,ipc,uts";

/** podman's configuration: `limits` that this machine can give, cgroups without systemd. */
function configuration(folder: string, limits: readonly string[], pause: string): string {
  return `[containers]
default_ulimits = [${limits.join(", ")}]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "${folder}/tmp"
infra_image = "${pause}"
[network]
network_config_dir = "${folder}/networks"
`;
}

/** Where images and containers lie. */
function storage(folder: string): string {
  return `[storage]\ndriver = "overlay"\ngraphroot = "${folder}/store"\nrunroot = "${folder}/run"\n`;
}

/** Podman on one host. */
export class Podman extends CommandLine {
  /** Configures podman and loads the images. */
  static async start(this: void, host: Host, pause?: Image | Pulled, busybox?: Image): Promise<Podman> {
    const { folder } = host;
    const env = {
      CONTAINERS_CONF: `${folder}/containers.conf`,
      CONTAINERS_STORAGE_CONF: `${folder}/storage.conf`,
      TMPDIR: folder,
      // Podman 5 says with every command that cgroup v1 is on its way out.
      PODMAN_IGNORE_CGROUPSV1_WARNING: "1",
    };
    const podman = new Podman(host, "podman", env, pause, busybox);
    // The hard limits of this machine may be below podman's defaults, and only a privileged root can raise them.
    const [files, processes] = (await host.output(["sh", "-c", "ulimit -Hn; ulimit -Hp"])).split("\n");
    const limits = [
      `"nofile=${files}:${files}"`,
      ...(processes === "unlimited" ? [] : [`"nproc=${processes}:${processes}"`]),
    ];
    await mkdir(`${folder}/store`);
    await Bun.write(env.CONTAINERS_CONF, configuration(folder, limits, podman.pause));
    await Bun.write(env.CONTAINERS_STORAGE_CONF, storage(folder));
    for (const image of [pause, busybox]) if (image?.archive) await podman.load(image.archive);
    return podman;
  }

  async startPod(name: string, { sharedPid }: PodOptions): Promise<Pod> {
    const infra = `${name}-infra`;
    await this.output(
      ...["pod", "create", "--name", name, "--infra-name", infra, "--infra-image", this.pause],
      ...["--hostname", name, "--network", "none", "--cgroup-parent", this.host.cgroup],
      ...["--share", sharedPid ? `${SHARED},pid` : SHARED],
    );
    await this.output("pod", "start", name);
    return {
      pause: Number(await this.inspect(infra, ".State.Pid")),
      join: async (member, script) => {
        const id = `${name}-${member}`;
        await this.output("run", "--detach", "--pod", name, "--name", id, this.busybox, "sh", "-c", script);
        return this.member(id);
      },
      running: async () => (await this.inspect(infra, ".State.Running")) === true,
      stop: async () => void (await this.output("pod", "stop", name)),
      exitStatus: async () => Number(await this.inspect(infra, ".State.ExitCode")),
      remove: async () => void (await this.output("pod", "rm", "--force", "--time", "0", name)),
    };
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    // Not everything of podman's takes --cgroup-parent. The kernel refuses to remove what another podman uses.
    const left = ["/sys/fs/cgroup", "-depth", "-type", "d", "-path", "*/libpod_parent*"];
    await Bun.spawn(["find", ...left, "-exec", "rmdir", "{}", ";"], { stderr: "ignore" }).exited;
  }
}
