/** Runs pods on an OCI runtime alone: pause in the strictest bundle, members in its namespaces by their paths. */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Ran } from "../../scripts/command/run.ts";
import { until } from "../../scripts/linux/proc.ts";
import { Engine, type Member, type Pod, type PodOptions } from "./engine.ts";
import type { Host } from "./host.ts";
import { type Image, unpack } from "./images.ts";

/** The mapping that a kubelet gives a pod with `hostUsers: false`: the first 65536, to unused ones. */
export const MAPPING = { containerID: 0, hostID: 1_000_000, size: 65_536 };

/** The part of the OCI runtime configuration (`config.json`) that the tests change. */
interface RuntimeSpec {
  process: object;
  root: object;
  hostname?: string;
  annotations: object;
  mounts: { destination: string }[];
  linux: { cgroupsPath: string; namespaces: { type: string; path?: string }[]; resources: object };
}

/** The limits of a bundle's cgroup and its system call filter. */
export interface Limits {
  /** Bytes of memory, swap included. */
  readonly memory?: number;
  /** A seccomp profile as in `linux.seccomp`. */
  readonly seccomp?: unknown;
}

/** A container whose runtime runs in the foreground. */
export interface Container {
  readonly name: string;
  /** The name of its bundle and of its cgroup. */
  readonly bundle: string;
  /** PID of the container's process on the host; -1 if the container ended at once or did not start. */
  readonly pid: number;
  /** The end of the runtime: with the container's exit status, or its own if the container did not start. */
  readonly ended: Promise<Ran>;
}

/**
 * Puts pause's files on a disk with the kernel's default read-ahead of 128 KiB (256 sectors), so that memory limits can
 * be measured: what the machine's own disk reads ahead would be charged to the container too. The disk goes with the
 * host's mounts.
 */
const DISK = `cd "$1"
truncate --size 512M disk
mkfs.ext4 -q disk
mkdir pause-root
mount -o loop disk pause-root
blockdev --setra 256 "$(findmnt --noheadings --output SOURCE --target pause-root)"
cp -a pause/. pause-root
chmod 755 pause-root
rm -rf pause`;

/** A runtime on one host. */
export class OciRuntime extends Engine {
  /** True if every pod has its own user namespace, with mapped IDs. */
  readonly #userNamespaces: boolean;
  #containers = 0;

  protected constructor(host: Host, command: readonly string[], userNamespaces = false) {
    super(host, [...command, "--root", join(host.folder, "state")]);
    this.#userNamespaces = userNamespaces;
  }

  /** Returns a function that starts the given runtime and unpacks the images once for all containers. */
  static with(runtime: "runc" | "crun", { userNamespaces = false } = {}) {
    return async (host: Host, pause: Image, busybox: Image): Promise<OciRuntime> => {
      const engine = new OciRuntime(host, [runtime], userNamespaces);
      await engine.unpack(pause, busybox);
      // Files are mapped as an engine does it; on the way to them a mapped root is just another user.
      const map = `chmod 711 "$1"; chown -R ${MAPPING.hostID}:${MAPPING.hostID} "$1/pause-root" "$1/busybox-root"`;
      if (userNamespaces) await host.output(["sh", "-ec", map, "map", host.folder]);
      return engine;
    };
  }

  /** Unpacks the images for all containers. */
  protected async unpack(pause: Image, busybox: Image): Promise<void> {
    await unpack(busybox.archive, join(this.host.folder, "busybox-root"));
    await this.load(pause.archive);
  }

  /** Unpacks the archive, whose files all sandboxes run from then on. */
  async load(archive: string): Promise<string> {
    const { folder } = this.host;
    await unpack(archive, join(folder, "pause"));
    return this.host.output(["sh", "-ec", DISK, "disk", folder]);
  }

  /** Makes the kernel drop pause's files from its page cache, as if this machine had never run it. */
  async dropCaches(): Promise<void> {
    const files = '$(find "$1/pause-root" -type f) "$1/disk"';
    const forget = `sync; for file in ${files}; do dd if="$file" iflag=nocache count=0 status=none; done`;
    await this.host.output(["sh", "-ec", forget, "drop", this.host.folder]);
  }

  /** The memory limit in bytes that the kernel enforces on a container, from cgroup v1 or v2. */
  async memoryLimit({ bundle }: Container): Promise<number> {
    const path = `${this.host.cgroup}/${bundle}`;
    const files = `/sys/fs/cgroup/memory${path}/memory.limit_in_bytes /sys/fs/cgroup${path}/memory.max`;
    return Number(await this.host.output(["sh", "-c", `cat ${files} 2>/dev/null || true`]));
  }

  /**
   * runc's default configuration, changed by `change`, in a new bundle, whose name is returned. The container is a
   * sandbox, or joins the named one: by these annotations containerd tells it a runtime.
   */
  async #bundle(sandbox: string | undefined, change: (spec: RuntimeSpec) => void): Promise<string> {
    const bundle = `bundle-${++this.#containers}`;
    const folder = join(this.host.folder, bundle);
    await mkdir(folder);
    await this.host.output(["runc", "spec", "--bundle", folder]);
    const file = Bun.file(join(folder, "config.json"));
    const spec = (await file.json()) as RuntimeSpec;
    Object.assign(spec.process, { terminal: false });
    const [type, id] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"];
    spec.annotations = sandbox === undefined ? { [type]: "sandbox" } : { [type]: "container", [id]: sandbox };
    spec.linux.cgroupsPath = `${this.host.cgroup}/${bundle}`;
    const user = this.#userNamespaces ? ["user"] : [];
    spec.linux.namespaces = [...user, "pid", "ipc", "uts", "mount", "network"].map((type) => ({ type }));
    if (this.#userNamespaces) Object.assign(spec.linux, { uidMappings: [MAPPING], gidMappings: [MAPPING] });
    change(spec);
    await file.write(JSON.stringify(spec));
    return bundle;
  }

  /** Starts a container from a bundle and waits until it runs or has ended. */
  async #start(name: string, bundle: string): Promise<Container> {
    const command = [...this.command, "run", "--bundle", join(this.host.folder, bundle), name];
    let over = false;
    const ended = this.host.run(command).finally(() => {
      over = true;
    });
    const pid = await until(`${name} runs`, async () => {
      if (over) return -1;
      const state = await this.#state(name);
      return state?.status === "running" && state.pid;
    });
    return { name, bundle, pid, ended };
  }

  async #state(name: string): Promise<{ readonly status: string; readonly pid: number } | undefined> {
    const { status, stdout } = await this.run("state", name);
    return status === 0 ? (JSON.parse(stdout) as { status: string; pid: number }) : undefined;
  }

  /**
   * Starts pause with every restriction at once: read-only root, no capabilities, no new privileges, masked paths,
   * 65535:65535, one process, the smallest CPU share, and `limits`.
   */
  async startPause(name: string, limits: Limits): Promise<Container> {
    const bundle = await this.#bundle(undefined, (spec) => {
      const user = { uid: 65535, gid: 65535 };
      Object.assign(spec.process, { args: ["/pause"], user, env: [], capabilities: {}, noNewPrivileges: true });
      spec.root = { path: join(this.host.folder, "pause-root"), readonly: true };
      spec.hostname = name;
      const memory = limits.memory && { limit: limits.memory, swap: limits.memory };
      Object.assign(spec.linux.resources, { cpu: { shares: 2 }, pids: { limit: 1 }, memory });
      Object.assign(spec.linux, { seccomp: limits.seccomp });
    });
    let container = await this.#start(name, bundle);
    // The limit of one process catches runc itself, where it wants one more thread after it has set the limit.
    for (let tries = 0; container.pid < 0 && tries < 5; tries++) {
      if (!(await container.ended).stderr.includes("pthread_create failed: Resource temporarily unavailable")) break;
      container = await this.#start(name, bundle);
    }
    return container;
  }

  /** Ends a container with `signal` and waits for its runtime. */
  async stop({ name, ended }: Container, signal: string): Promise<Ran> {
    await this.run("kill", name, signal);
    return ended;
  }

  async startPod(name: string, { sharedPid }: PodOptions): Promise<Pod> {
    const pause = await this.startPause(name, {});
    if (pause.pid < 0) throw new Error(`${name} did not start: ${JSON.stringify(await pause.ended)}`);
    const containers = [pause];
    const shm = join(this.host.folder, `${name}-shm`);
    await mkdir(shm, { recursive: true });
    await chmod(shm, 0o1777);
    return {
      pause: pause.pid,
      join: async (member, script) => {
        const bundle = await this.#bundle(name, (spec) => {
          Object.assign(spec.process, { args: ["sh", "-c", script], env: ["PATH=/bin"] });
          spec.root = { path: join(this.host.folder, "busybox-root"), readonly: true };
          delete spec.hostname;
          const shared = new Map(Object.entries({ network: "net", ipc: "ipc", uts: "uts", user: "user" }));
          if (sharedPid) shared.set("pid", "pid");
          for (const namespace of spec.linux.namespaces) {
            const kind = shared.get(namespace.type);
            if (kind) namespace.path = `/proc/${pause.pid}/ns/${kind}`;
          }
          spec.mounts = spec.mounts.map((mount) =>
            mount.destination === "/dev/shm" ? { ...mount, type: "bind", source: shm, options: ["bind"] } : mount,
          );
        });
        // runsc takes the beginning of a name for the name.
        const container = await this.#start(`${member}-of-${name}`, bundle);
        containers.push(container);
        return this.#member(container);
      },
      running: async () => (await this.#state(name))?.status === "running",
      stop: async () => void (await this.stop(pause, "TERM")),
      exitStatus: async () => (await pause.ended).status,
      remove: async () => {
        for (const container of containers.reverse()) {
          await this.run("delete", "--force", container.name);
          await container.ended;
        }
      },
    };
  }

  #member({ name, ended }: Container): Member {
    return {
      exec: (script) => this.output("exec", name, "sh", "-c", script),
      exited: async () => (await ended).status,
      // A runtime in the foreground removes its container when that has ended.
      remove: async () => void (await ended),
    };
  }
}
