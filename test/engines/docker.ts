/** Starts dockerd, with its own containerd. */
import { until } from "../../scripts/linux/proc.ts";
import { CommandLine, type Pod, type PodOptions } from "./engine.ts";
import type { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";

/** Options that give a container the least: no network, no capabilities, no way to gain any. */
export const STRICT = [
  ...["--network", "none", "--read-only", "--cap-drop", "ALL"],
  ...["--security-opt", "no-new-privileges"],
] as const;

/** A running dockerd and the client that talks to it. */
export class Docker extends CommandLine {
  /**
   * Starts dockerd with `configuration` as its daemon.json, and loads the images. `docker build` is the classic builder,
   * even where BuildKit is available.
   */
  static async start(
    this: void,
    host: Host,
    pause?: Image | Pulled,
    busybox?: Image,
    configuration: Readonly<Record<string, unknown>> = {},
  ): Promise<Docker> {
    const { folder } = host;
    const env = { DOCKER_HOST: `unix://${folder}/docker.sock`, DOCKER_CONFIG: folder, DOCKER_BUILDKIT: "0" };
    const docker = new Docker(host, ["docker"], env, pause, busybox);
    // Replaces the machine's own configuration.
    await Bun.write(`${folder}/daemon.json`, JSON.stringify(configuration));
    const command = [
      "dockerd",
      ...["--config-file", `${folder}/daemon.json`, "--pidfile", `${folder}/docker.pid`],
      ...["--data-root", `${folder}/data`, "--exec-root", `${folder}/exec`, "--host", env.DOCKER_HOST],
      ...["--iptables=false", "--ip6tables=false", "--bridge=none", "--cgroup-parent", host.cgroup],
    ];
    await host.daemon("dockerd", command, async () => (await docker.run("version")).status === 0);
    for (const image of [pause, busybox]) if (image?.archive) await docker.load(image.archive);
    return docker;
  }

  async startPod(name: string, { sharedPid }: PodOptions): Promise<Pod> {
    const shareable = ["--name", name, "--hostname", name, "--ipc", "shareable"];
    await this.output("run", "--detach", ...STRICT, ...shareable, this.pause);
    const containers = new Set([name]);
    return {
      pause: Number(await this.inspect(name, ".State.Pid")),
      join: async (member, script) => {
        const id = `${name}-${member}`;
        const namespaces = ["network", "ipc", ...(sharedPid ? ["pid"] : [])];
        const shared = namespaces.flatMap((kind) => [`--${kind}`, `container:${name}`]);
        containers.add(id);
        const run = ["run", "--detach", "--name", id, ...shared, this.busybox, "sh", "-c", script];
        await until(`${id} runs`, async () => {
          const { status, stderr } = await this.run(...run);
          if (status === 0) return true;
          // On a busy machine Docker 28 sometimes takes a container that it has just made for one that has ended.
          if (!stderr.includes("cannot start a stopped process")) throw new Error(stderr);
          await this.output("rm", "--force", id);
          return false;
        });
        return this.member(id);
      },
      running: async () => (await this.inspect(name, ".State.Running")) === true,
      stop: async () => void (await this.output("stop", name)),
      exitStatus: async () => Number(await this.inspect(name, ".State.ExitCode")),
      remove: async () => void (await this.output("rm", "--force", ...[...containers].reverse())),
    };
  }
}
