/** Runs pods in gVisor, a kernel in user space, on its default platform for x86-64: Debian's runsc, unpacked. */
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kept } from "../../scripts/command/kept.ts";
import type { Ran } from "../../scripts/command/run.ts";
import { Apt } from "../../scripts/debian/apt.ts";
import { until } from "../../scripts/linux/proc.ts";
import type { Host } from "./host.ts";
import { busyboxRoot, type Image, unpack } from "./images.ts";

/** The Debian release that runsc comes from. */
const RELEASE = "trixie";

/** The path of runsc: the package, downloaded once. */
async function runsc(): Promise<string> {
  const root = await kept(`debian-${RELEASE}-runsc`, async (path) => {
    const folder = await mkdtemp(join(tmpdir(), "pause-runsc-"));
    try {
      await (await Apt.open(folder, { suite: RELEASE })).unpack(["runsc"], path);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
  return join(root, "usr", "bin", "runsc");
}

/** A container of a sandbox. */
interface Container {
  readonly name: string;
  /** How its runsc ended: with the container's exit status, or its own if the container did not start. */
  readonly ended: Promise<Ran>;
}

/** Annotations by which containerd tells a runtime which containers share a sandbox. */
const [TYPE, SANDBOX] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"];

/** gVisor on a host, which it owns, with a pause image and a busybox. */
export class Gvisor implements AsyncDisposable {
  readonly host: Host;
  readonly #command: readonly string[];
  #containers = 0;

  private constructor(host: Host, path: string) {
    this.host = host;
    const options = ["--platform=systrap", "--network=none", "--ignore-cgroups"];
    this.#command = [path, "--root", join(host.folder, "state"), ...options];
  }

  /** Unpacks runsc and the image, whose files all sandboxes run from then on. */
  static async start(this: void, host: Host, pause: Image): Promise<Gvisor> {
    await unpack(pause.archive, join(host.folder, "pause-root"));
    return new Gvisor(host, await runsc());
  }

  /** What `runsc --version` prints. */
  version(): Promise<string> {
    return this.host.output([...this.#command, "--version"]);
  }

  /** Starts a container with the files below `root` that runs `args`, in the given sandbox or as a sandbox itself. */
  async #start(
    root: string,
    args: readonly string[],
    options: readonly string[],
    sandbox?: Container & { readonly pid: number },
  ): Promise<Container> {
    const name = `container-${++this.#containers}`;
    const bundle = join(this.host.folder, name);
    await mkdir(bundle);
    const kinds = ["pid", "ipc", "uts", "mount", "network"];
    const spec = {
      ociVersion: "1.0.0",
      process: {
        ...{ args, cwd: "/", env: ["PATH=/bin"] },
        ...{ user: { uid: 65535, gid: 65535 }, capabilities: {}, noNewPrivileges: true },
      },
      root: { path: root, readonly: true },
      hostname: "pod",
      annotations: sandbox ? { [TYPE]: "container", [SANDBOX]: sandbox.name } : { [TYPE]: "sandbox" },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      ],
      linux: {
        namespaces: kinds.map((type) => ({
          type,
          ...(sandbox && type === "pid" ? { path: `/proc/${sandbox.pid}/ns/pid` } : {}),
        })),
      },
    };
    await Bun.write(join(bundle, "config.json"), JSON.stringify(spec));
    const ended = this.host.run([...this.#command, ...options, "run", "--bundle", bundle, name]);
    return { name, ended };
  }

  /** Starts pause as a pod and returns when it waits for signals or has ended. */
  async startPod(): Promise<Sandbox> {
    const log = await mkdtemp(join(this.host.folder, "log-"));
    // The wait may be logged as any of these calls. None comes before the signals are held or handled.
    const calls = ["rt_sigsuspend", "pause", "ppoll"];
    const trace = ["--debug", `--debug-log=${log}/`, "--strace", `--strace-syscalls=${calls.join()}`];
    const pause = await this.#start(join(this.host.folder, "pause-root"), ["/pause"], trace);
    let over = false;
    void pause.ended.then(() => {
      over = true;
    });
    const waits = new RegExp(`\\b(${calls.join("|")}) E `);
    await until("pause to wait in the sandbox", async () => {
      const [file] = (await readdir(log)).filter((name) => name.endsWith(".boot.txt"));
      return over || (file !== undefined && waits.test(await Bun.file(join(log, file)).text()));
    });
    const run = (...args: string[]) => this.host.run([...this.#command, ...args]);
    return {
      join: async (script) => {
        const { pid } = JSON.parse((await run("state", pause.name)).stdout) as { pid: number };
        const busybox = await busyboxRoot(this.host.folder);
        const member = await this.#start(busybox, ["sh", "-c", script], [], { ...pause, pid });
        return member.ended;
      },
      exec: (...args) => run("exec", pause.name, ...args),
      stop: async () => {
        await run("kill", pause.name, "TERM");
        return pause.ended;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

/** A running pod. */
export interface Sandbox {
  /** Runs `sh -c script` as a container that joins the pod and its PID namespace, to its end. */
  join(script: string): Promise<Ran>;
  /** Runs a command in the container of pause, to its end. */
  exec(...args: string[]): Promise<Ran>;
  /** Sends pause SIGTERM and waits for its end. */
  stop(): Promise<Ran>;
}
