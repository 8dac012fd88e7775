/** Runs podman with storage, state and configuration of its own. */
import type { Host, Result } from "./host.ts";
import type { Image } from "./images.ts";
import type { Engine, Member, Pod } from "./pods/pod.ts";

/** The names of namespaces that a pod's containers share with pause, as podman calls them. */
const SHARED = "net,ipc,uts";

/** podman's configuration: limits that this machine can give, cgroups without systemd. */
function configuration(limits: { readonly files: string; readonly processes: string }, pause: string): string {
  return `[containers]
default_ulimits = ["nofile=${limits.files}:${limits.files}", "nproc=${limits.processes}:${limits.processes}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "${pause}"
`;
}

/** Podman on one host. */
export class Podman implements Engine {
  readonly host: Host;
  /** The pause image's name. */
  readonly pause: string;
  /** The name of the image of containers that join. */
  readonly busybox: string;

  private constructor(host: Host, pause: Image, busybox: Image) {
    this.host = host;
    this.pause = pause.reference;
    this.busybox = busybox.reference;
  }

  /** Configures podman and loads the images. */
  static async start(this: void, host: Host, pause: Image, busybox: Image): Promise<Podman> {
    const podman = new Podman(host, pause, busybox);
    const [files = "", processes = ""] = (await host.output(["sh", "-c", "ulimit -Hn; ulimit -Hp"])).split("\n");
    await Bun.write(`${host.folder}/containers.conf`, configuration({ files, processes }, podman.pause));
    for (const { archive } of [pause, busybox]) await podman.output("load", "--quiet", "--input", archive);
    return podman;
  }

  /** Runs a podman command. */
  run(...args: readonly string[]): Promise<Result> {
    const { folder } = this.host;
    const state = ["--root", `${folder}/storage`, "--runroot", `${folder}/run`, "--tmpdir", `${folder}/libpod`];
    return this.host.run(["podman", ...state, ...args], { CONTAINERS_CONF: `${folder}/containers.conf` });
  }

  /** Runs a podman command that must succeed and returns what it wrote, without the last newline. */
  async output(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...args);
    if (status !== 0) throw new Error(`podman ${args.join(" ")}: status ${status}: ${stderr}`);
    return stdout.trimEnd();
  }

  /** One field of `podman inspect`, as a Go template names it: `.State.Pid`. */
  async inspect(container: string, field: string): Promise<unknown> {
    return JSON.parse(await this.output("inspect", "--type", "container", "--format", `{{json ${field}}}`, container));
  }

  async startPod(name: string, { sharedPid }: { readonly sharedPid: boolean }): Promise<Pod> {
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

  /** A container by its name. */
  member(id: string): Member {
    return {
      exec: (script) => this.output("exec", id, "sh", "-c", script).then((text) => `${text}\n`),
      exited: async () => Number(await this.output("wait", id)),
      remove: async () => void (await this.output("rm", id)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
    // Not everything of podman's takes --cgroup-parent. The kernel refuses to remove what another podman uses.
    const left = ["/sys/fs/cgroup", "-depth", "-type", "d", "-path", "*/libpod_parent*"];
    await Bun.spawn(["find", ...left, "-exec", "rmdir", "{}", ";"], { stderr: "ignore" }).exited;
  }
}
