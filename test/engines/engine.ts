/** Container engines, as the tests of pods and images use them. */
import type { Ran } from "../../scripts/command/run.ts";
import type { Generation } from "./generations.ts";
import { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";

/** A container that joined a pod. */
export interface Member {
  /** Runs `sh -c script` in the container and returns what it wrote, without the last newline. Throws if it fails. */
  exec(script: string): Promise<string>;
  /** Waits until the container's own process has ended and returns its exit status. */
  exited(): Promise<number>;
  /** Removes the ended container. */
  remove(): Promise<void>;
}

/** A running pod. */
export interface Pod {
  /** PID of pause on the host. */
  readonly pause: number;
  /** Starts a busybox container in the pod; its process is `sh -c script`. */
  join(name: string, script: string): Promise<Member>;
  /** True if the engine considers pause to be running. */
  running(): Promise<boolean>;
  /** Stops the pod as the engine does. */
  stop(): Promise<void>;
  /** The exit status of pause, once it has ended: 128 and the signal's number when a signal ended it. */
  exitStatus(): Promise<number>;
  /** Removes the pod with all its containers. */
  remove(): Promise<void>;
}

/** Options of a new pod. */
export interface PodOptions {
  /** Containers that join see the PID namespace of pause. */
  readonly sharedPid: boolean;
}

/** A container engine and the host that it owns: both end together. */
export abstract class Engine implements AsyncDisposable {
  readonly host: Host;
  /** The words that its command lines begin with. */
  readonly command: readonly string[];
  /** Environment variables that make its command, and related ones, use its own state. */
  readonly env: Readonly<Record<string, string>>;
  /** The pause image's name. */
  readonly pause: string;
  /** The name of the image for containers that join. */
  readonly busybox: string;

  protected constructor(
    host: Host,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
    pause?: Image | Pulled,
    busybox?: Image,
  ) {
    this.host = host;
    this.command = command;
    this.env = env;
    this.pause = pause?.reference ?? "";
    this.busybox = busybox?.reference ?? "";
  }

  /** Runs a command line of the engine, whatever its outcome. */
  run(...args: readonly string[]): Promise<Ran> {
    return this.host.run([...this.command, ...args], this.env);
  }

  /**
   * Runs a command line that must succeed and returns what it wrote, without the last newline. Throws with its messages
   * otherwise.
   */
  output(...args: readonly string[]): Promise<string> {
    return this.host.output([...this.command, ...args], this.env);
  }

  /** Loads the image in an archive and returns the engine's answer: with docker and podman, the image's name. */
  abstract load(archive: string): Promise<string>;

  /** Starts a pod called `name` with the pause image that the engine was started with. */
  abstract startPod(name: string, options: PodOptions): Promise<Pod>;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

/** Starts an engine of a generation on a new host, which is disposed of if the engine does not start. */
export async function onNewHost<E extends AsyncDisposable>(
  generation: Generation,
  start: (host: Host) => Promise<E>,
): Promise<E> {
  const host = await Host.start(await generation.root());
  try {
    return await start(host);
  } catch (error) {
    await host[Symbol.asyncDispose]();
    throw error;
  }
}

/** An engine with Docker's command line. */
export abstract class CommandLine extends Engine {
  async load(archive: string): Promise<string> {
    return (await this.output("load", "--quiet", "--input", archive)).replace(/^Loaded image(\(s\))?: /, "");
  }

  /** One field of `inspect`, as a Go template names it: `.State.Pid`. */
  async inspect(container: string, field: string): Promise<unknown> {
    return JSON.parse(await this.output("inspect", "--type", "container", "--format", `{{json ${field}}}`, container));
  }

  /** A container by its name. */
  member(name: string): Member {
    return {
      exec: (script) => this.output("exec", name, "sh", "-c", script),
      exited: async () => Number(await this.output("wait", name)),
      remove: async () => void (await this.output("rm", name)),
    };
  }
}
