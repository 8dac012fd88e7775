/** Runs podman with private storage, state and configuration, which buildah and skopeo share if given its environment. */
import { CommandLine, type Pod, type PodOptions } from "./engine.ts";
import type { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";

/** The names of namespaces that a pod's containers share with pause, as podman calls them. */
const SHARED = "net,ipc,uts";

/** podman's configuration: `limits` that this machine can grant, cgroups without systemd. */
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

/** The ordinary user, whose name and ID nothing else uses. */
export const USER = { name: "pause-user", id: 65533 } as const;

/**
 * Podman's state, and the user's XDG_RUNTIME_DIR. Podman 4 refuses more than 50 characters, but only when conmon has it
 * clean up.
 */
const RUN_ROOT = "/run/pods";

/** Adds the user to an /etc whose changes stay in the host's memory, with the folder `$1` as home. */
const ADD_USER = `mount --make-shared /
mkdir /run/etc /run/etc/changes /run/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/changes,workdir=/run/etc/work overlay /etc
echo "${USER.name}:x:${USER.id}:${USER.id}::$1:/bin/sh" >>/etc/passwd
echo '${USER.name}:x:${USER.id}:' >>/etc/group
echo '${USER.name}:100000:65536' | tee /etc/subgid >/etc/subuid
mkdir -m 700 ${RUN_ROOT}
chmod 711 "$1"
chown -R ${USER.id}:${USER.id} "$1" ${RUN_ROOT}`;

/** The words that run a command as that user. */
const BECOME_USER = ["setpriv", `--reuid=${USER.id}`, `--regid=${USER.id}`, "--clear-groups"] as const;

/** Podman on one host. */
export class Podman extends CommandLine {
  /** True if an ordinary user runs it. */
  readonly #rootless: boolean;

  private constructor(
    host: Host,
    rootless: boolean,
    env: Readonly<Record<string, string>>,
    pause?: Image | Pulled,
    busybox?: Image,
  ) {
    super(host, [...(rootless ? BECOME_USER : []), "podman"], env, pause, busybox);
    this.#rootless = rootless;
  }

  /** Configures podman, run by root or by an ordinary user with subordinate IDs, and loads the images. */
  static async start(
    this: void,
    host: Host,
    pause?: Image | Pulled,
    busybox?: Image,
    rootless = false,
  ): Promise<Podman> {
    const { folder } = host;
    const env = {
      CONTAINERS_CONF: `${folder}/containers.conf`,
      CONTAINERS_STORAGE_CONF: `${folder}/storage.conf`,
      TMPDIR: folder,
      // Podman 5 warns with every command that cgroup v1 is deprecated.
      PODMAN_IGNORE_CGROUPSV1_WARNING: "1",
      ...(rootless ? { HOME: folder, USER: USER.name, XDG_RUNTIME_DIR: RUN_ROOT } : {}),
    };
    if (rootless) await host.output(["sh", "-ec", ADD_USER, "user", folder]);
    const podman = new Podman(host, rootless, env, pause, busybox);
    // The hard limits of this machine may be below podman's defaults, and only a privileged root can raise them.
    const [files, processes] = (await host.output(["sh", "-c", "ulimit -Hn; ulimit -Hp"])).split("\n");
    const limits = [`"nofile=${files}:${files}"`];
    if (processes !== "unlimited") limits.push(`"nproc=${processes}:${processes}"`);
    await Bun.write(env.CONTAINERS_CONF, configuration(folder, limits, podman.pause));
    const storage = `[storage]\ndriver = "overlay"\ngraphroot = "${folder}/store"\nrunroot = "${RUN_ROOT}"\n`;
    await Bun.write(env.CONTAINERS_STORAGE_CONF, storage);
    for (const image of [pause, busybox]) if (image?.archive) await podman.load(image.archive);
    return podman;
  }

  override async load(archive: string): Promise<string> {
    if (!this.#rootless) return super.load(archive);
    // The user may not be able to reach the archive's folder.
    const copy = `${this.host.folder}/archive.tar`;
    await this.host.output(["install", "-m", "644", archive, copy]);
    return super.load(copy);
  }

  /** `options` are further options of `podman pod create`. */
  async startPod(name: string, { sharedPid }: PodOptions, ...options: readonly string[]): Promise<Pod> {
    const infra = `${name}-infra`;
    await this.output(
      ...["pod", "create", "--name", name, "--infra-name", infra, "--infra-image", this.pause],
      ...["--hostname", name, "--network", "none"],
      ...(this.#rootless ? [] : ["--cgroup-parent", this.host.cgroup]),
      ...["--share", sharedPid ? `${SHARED},pid` : SHARED],
      ...options,
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
    // Not everything in podman honours --cgroup-parent. The kernel refuses to remove a cgroup that another podman uses.
    const left = ["/sys/fs/cgroup", "-depth", "-type", "d", "-path", "*/libpod_parent*"];
    await Bun.spawn(["find", ...left, "-exec", "rmdir", "{}", ";"], { stderr: "ignore" }).exited;
  }
}
