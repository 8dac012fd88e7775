/** The engines that an image archive is for: each started on a host of its own, with nothing shared. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Host, type Result } from "./host.ts";

/** An engine with Docker's command line, ready for use. */
export interface Engine extends AsyncDisposable {
  readonly host: Host;
  /** What the command is called. */
  readonly command: string;
  /** Environment variables that make it use its own state. */
  readonly env: Readonly<Record<string, string>>;
}

/** Runs a command line of the engine, whatever its outcome. */
export function run({ host, command, env }: Engine, ...args: readonly string[]): Promise<Result> {
  return host.run([command, ...args], env);
}

/** Runs a command line of the engine that must succeed and returns what it wrote. */
export function output({ host, command, env }: Engine, ...args: readonly string[]): Promise<string> {
  return host.output([command, ...args], env);
}

/** The engine made of these parts, which ends with its host. */
function engine(host: Host, command: string, env: Readonly<Record<string, string>>): Engine {
  return { host, command, env, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

/** The engine once its daemon answers. Throws, and leaves nothing behind, if it does not. */
async function started(client: Engine, name: string, command: readonly string[]): Promise<Engine> {
  try {
    await client.host.daemon(name, command, async () => (await run(client, "version")).status === 0);
    return client;
  } catch (error) {
    await client[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * A docker client that can ask dockerd for a build by BuildKit: any before 23 can, later ones by the plugin buildx.
 * There may be several clients on PATH; undefined if none can.
 */
export function buildKitClient(): string | undefined {
  const { PATH = "" } = process.env;
  const clients = PATH.split(":").map((folder) => Bun.which("docker", { PATH: folder }));
  return clients.flatMap((client) => (client && hasBuildKit(client) ? [client] : []))[0];
}

function hasBuildKit(client: string): boolean {
  const { stdout } = Bun.spawnSync([client, "--version"]);
  if (Number(stdout.toString().match(/version (\d+)/)?.[1]) < 23) return true;
  return Bun.spawnSync([client, "buildx", "version"]).exitCode === 0;
}

/** Starts dockerd. Its `docker build` is that before BuildKit, unless `client` is one that has BuildKit. */
export async function startDocker(client?: string): Promise<Engine> {
  const host = await Host.start();
  const { folder } = host;
  const docker = engine(host, client ?? "docker", {
    DOCKER_HOST: `unix://${folder}/docker.sock`,
    DOCKER_CONFIG: folder,
    DOCKER_BUILDKIT: client === undefined ? "0" : "1",
  });
  await Bun.write(join(folder, "daemon.json"), "{}");
  const command = [
    "dockerd",
    ...["--config-file", `${folder}/daemon.json`, "--pidfile", `${folder}/docker.pid`],
    ...["--data-root", `${folder}/data`, "--exec-root", `${folder}/exec`, "--host", `unix://${folder}/docker.sock`],
    ...["--iptables=false", "--ip6tables=false", "--bridge=none", "--cgroup-parent", host.cgroup],
  ];
  return started(docker, "dockerd", command);
}

/** Writes the configuration of podman and buildah, with a store of their own. `command`: which of the two. */
export async function startPodman(command: "podman" | "buildah" = "podman"): Promise<Engine> {
  const host = await Host.start();
  const { folder } = host;
  // The hard limits of this machine may be below podman's defaults, and only a privileged root can raise them.
  const [files, processes] = (await host.output(["sh", "-c", "ulimit -Hn; ulimit -Hp"])).split("\n");
  const limits = [
    `"nofile=${files}:${files}"`,
    ...(processes === "unlimited" ? [] : [`"nproc=${processes}:${processes}"`]),
  ];
  await mkdir(join(folder, "store"));
  await Bun.write(
    join(folder, "containers.conf"),
    `[containers]\ndefault_ulimits = [${limits.join(", ")}]\n` +
      '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' +
      `tmp_dir = "${folder}/tmp"\n[network]\nnetwork_config_dir = "${folder}/networks"\n`,
  );
  await Bun.write(
    join(folder, "storage.conf"),
    `[storage]\ndriver = "overlay"\ngraphroot = "${folder}/store"\nrunroot = "${folder}/run"\n`,
  );
  return engine(host, command, {
    CONTAINERS_CONF: join(folder, "containers.conf"),
    CONTAINERS_STORAGE_CONF: join(folder, "storage.conf"),
    TMPDIR: folder,
  });
}

/** Starts containerd; the command is `ctr`. */
export async function startContainerd(): Promise<Engine> {
  const host = await Host.start();
  const { folder } = host;
  await Bun.write(
    join(folder, "containerd.toml"),
    `version = 2\nroot = "${folder}/root"\nstate = "${folder}/state"\n` +
      `disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "${folder}/containerd.sock"\n`,
  );
  const ctr = engine(host, "ctr", { CONTAINERD_ADDRESS: `${folder}/containerd.sock` });
  return started(ctr, "containerd", ["containerd", "--config", join(folder, "containerd.toml")]);
}
