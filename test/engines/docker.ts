/** Starts dockerd, with a containerd of its own. */
import type { Subprocess } from "bun";
import type { Host, Result } from "./host.ts";
import type { Image } from "./images.ts";
import type { Engine, Member, Pod } from "./pods/pod.ts";

/** Options under which a container has least: no network, no capability, no way to more. */
export const STRICT = [
  ...["--network", "none", "--read-only", "--cap-drop", "ALL"],
  ...["--security-opt", "no-new-privileges"],
] as const;

/** A running dockerd and the client that talks to it. */
export class Docker implements Engine {
  readonly host: Host;
  /** The pause image's name. */
  readonly pause: string;
  /** The name of the image of containers that join. */
  readonly busybox: string;
  #daemon: Subprocess | undefined;

  private constructor(host: Host, pause: Image, busybox: Image) {
    this.host = host;
    this.pause = pause.reference;
    this.busybox = busybox.reference;
  }

  /** Starts dockerd, with this in its configuration file, and loads the images. */
  static async start(
    this: void,
    host: Host,
    pause: Image,
    busybox: Image,
    configuration: Readonly<Record<string, unknown>> = {},
  ): Promise<Docker> {
    const docker = new Docker(host, pause, busybox);
    // In place of the machine's own configuration.
    await Bun.write(`${host.folder}/daemon.json`, JSON.stringify(configuration));
    await docker.#start();
    for (const { archive } of [pause, busybox]) await docker.output("load", "--quiet", "--input", archive);
    return docker;
  }

  async #start(): Promise<void> {
    const { folder, cgroup } = this.host;
    const command = [
      "dockerd",
      ...["--config-file", `${folder}/daemon.json`, "--pidfile", `${folder}/docker.pid`],
      ...["--data-root", `${folder}/data`, "--exec-root", `${folder}/exec`, "--host", `unix://${folder}/docker.sock`],
      ...["--iptables=false", "--ip6tables=false", "--bridge=none", "--cgroup-parent", cgroup],
    ];
    this.#daemon = await this.host.daemon("dockerd", command, async () => (await this.run("version")).status === 0);
  }

  /** Ends dockerd as a service manager does and starts it anew. */
  async restart(): Promise<void> {
    const pid = await Bun.file(`${this.host.folder}/docker.pid`).text();
    await this.host.kill(Number(pid), "TERM");
    await this.#daemon?.exited;
    await this.#start();
  }

  /** Runs a docker command. */
  run(...args: readonly string[]): Promise<Result> {
    const { folder } = this.host;
    return this.host.run(["docker", ...args], { DOCKER_HOST: `unix://${folder}/docker.sock`, DOCKER_CONFIG: folder });
  }

  /** Runs a docker command that must succeed and returns what it wrote, without the last newline. */
  async output(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...args);
    if (status !== 0) throw new Error(`docker ${args.join(" ")}: status ${status}: ${stderr}`);
    return stdout.trimEnd();
  }

  /** One field of `docker inspect`, as a Go template names it: `.State.Pid`. */
  async inspect(container: string, field: string): Promise<unknown> {
    return JSON.parse(await this.output("inspect", "--type", "container", "--format", `{{json ${field}}}`, container));
  }

  async startPod(name: string, { sharedPid }: { readonly sharedPid: boolean }): Promise<Pod> {
    const shareable = ["--name", name, "--hostname", name, "--ipc", "shareable"];
    await this.output("run", "--detach", ...STRICT, ...shareable, this.pause);
    const containers = new Set([name]);
    return {
      pause: Number(await this.inspect(name, ".State.Pid")),
      join: async (member, script) => {
        const id = `${name}-${member}`;
        const namespaces = ["network", "ipc", ...(sharedPid ? ["pid"] : [])];
        const shared = namespaces.flatMap((kind) => [`--${kind}`, `container:${name}`]);
        await this.output("run", "--detach", "--name", id, ...shared, this.busybox, "sh", "-c", script);
        containers.add(id);
        return this.#member(id, () => containers.delete(id));
      },
      running: async () => (await this.inspect(name, ".State.Running")) === true,
      stop: async () => void (await this.output("stop", name)),
      exitStatus: async () => Number(await this.inspect(name, ".State.ExitCode")),
      remove: async () => void (await this.output("rm", "--force", ...[...containers].reverse())),
    };
  }

  #member(id: string, removed: () => void): Member {
    return {
      exec: (script) =>
        this.run("exec", id, "sh", "-c", script).then(({ status, stdout, stderr }) => {
          if (status !== 0) throw new Error(`exec: status ${status}: ${stderr}`);
          return stdout;
        }),
      exited: async () => Number(await this.output("wait", id)),
      remove: async () => {
        await this.output("rm", id);
        removed();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}
