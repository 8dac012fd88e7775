/**
 * A separate machine for one engine: namespaces, a folder and a cgroup that disappear whole, whatever the engine left
 * running.
 */
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Subprocess } from "bun";
import { ROOT } from "../../scripts/command/project.ts";
import { output, type Ran, run } from "../../scripts/command/run.ts";
import { childrenOf, type Process, processAt, status, until } from "../../scripts/linux/proc.ts";
import { temporary } from "../support/temporary.ts";

/**
 * Makes namespaces with a process 1 that reaps and an empty /run, prints the PID of their holder and `ready`, waits
 * until they are gone, and removes the folder `$1` and the cgroup of the same name, in every hierarchy. Where the
 * controllers are in cgroup v1, the unified hierarchy is hidden, because crun refuses the mixture.
 *
 * With more arguments the root is a copy of the folder `$2` that keeps changes in memory, and the folders from `$3` on
 * are at their usual paths. Engines look up their folders in mountinfo: changing the root alone, as chroot(1) does, is
 * not enough for them.
 *
 * It outlives a test that is interrupted or killed: everything ends when standard input closes. A shell that waits for a
 * command reaps every other child too, as the engine's orphans need.
 */
const KEEPER = `trap '' INT TERM HUP
exec 3<&0
unshare --mount --uts --ipc --net --pid --fork --kill-child=KILL --mount-proc sh -ec '
  umount /sys/fs/cgroup/unified 2>/dev/null || true
  mount -t tmpfs tmpfs /run
  shift
  if [ $# -gt 0 ]; then
    mkdir /run/root /run/changes /run/work
    mount -t overlay -o "lowerdir=$1,upperdir=/run/changes,workdir=/run/work" overlay /run/root
    shift
    cd /run/root
    for folder in /proc /sys /dev; do mount --rbind "$folder" ".$folder"; done
    for folder; do mkdir -p ".$folder"; mount --bind "$folder" ".$folder"; done
    mount -t tmpfs tmpfs run
    pivot_root . mnt
    umount --lazy /mnt
    cd /
  fi
  mkdir -m 1777 /run/lock
  echo ready
  cat
  exit' keeper "$@" <&3 &
echo $!
wait
for try in $(seq 100); do
  left=$(find /sys/fs/cgroup -depth -type d -path "*/\${1##*/}*" 2>/dev/null)
  [ -n "$left" ] || break
  rmdir $left 2>/dev/null || sleep 0.1
done
rm -rf "$1"`;

/**
 * New PID, mount, network, IPC and UTS namespaces, an empty /run, a temporary folder and a cgroup. The engine runs in
 * them as this machine's root; its sockets are in the folder, so that they are reachable from outside.
 *
 * At the end the kernel kills every process of the PID namespace and drops the mounts and the network devices: nothing
 * stays, even if the test itself was killed.
 */
export class Host implements AsyncDisposable {
  /** Folder for state, sockets and images. */
  readonly folder: string;
  /** Path of the cgroup below which engines are told to put theirs: `/engine-XXXXXX`. */
  readonly cgroup: string;
  readonly #keeper: Subprocess<"pipe", "pipe", "inherit">;
  /** PID of the process that holds the namespaces. */
  #holder = 0;

  private constructor(folder: string, root: readonly string[]) {
    this.folder = folder;
    this.cgroup = `/${basename(folder)}`;
    this.#keeper = Bun.spawn(["sh", "-c", KEEPER, "keeper", folder, ...root], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
  }

  /**
   * Starts one with this machine's root, or with a copy of the folder `root` in which the project and the temporary
   * folder are at their usual paths. Throws if this machine forbids the namespaces (they need root).
   */
  static async start(this: void, root?: string): Promise<Host> {
    const folder = temporary("engine");
    const host = new Host(folder, root === undefined ? [] : [root, tmpdir(), ROOT]);
    let said = "";
    for await (const bytes of host.#keeper.stdout) {
      said += new TextDecoder().decode(bytes);
      if (said.endsWith("ready\n")) break;
    }
    host.#holder = Number.parseInt(said, 10);
    if (said.endsWith("ready\n")) return host;
    await host[Symbol.asyncDispose]();
    throw new Error("this machine does not let the tests make namespaces");
  }

  /** The words that put a command into the host's namespaces. */
  get #enter(): string[] {
    const pid = `--pid=/proc/${this.#holder}/ns/pid_for_children`;
    return ["nsenter", `--target=${this.#holder}`, "--mount", "--uts", "--ipc", "--net", pid, "--"];
  }

  /** Runs a command on the host, in its root folder, to its end. */
  run(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
    return run([...this.#enter, ...command], { env });
  }

  /** Runs a command that must succeed and returns what it wrote, without the last newline. Throws with its messages otherwise. */
  async output(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    return (await output([...this.#enter, ...command], { env })).trimEnd();
  }

  /**
   * Starts a daemon, whose messages go to `NAME.log` in the folder, and waits until `ready` returns true.
   * Throws with the last messages if the daemon ends or is not ready in time.
   */
  async daemon(name: string, command: readonly string[], ready: () => Promise<boolean>): Promise<Subprocess> {
    const log = Bun.file(join(this.folder, `${name}.log`));
    const options = { stdin: "ignore", stdout: log, stderr: log } as const;
    const daemon = Bun.spawn([...this.#enter, ...command], options);
    try {
      await until(`${name} is ready`, async () => daemon.exitCode !== null || (await ready()));
      if (daemon.exitCode !== null) throw new Error(`${name} ended with status ${daemon.exitCode}`);
    } catch (error) {
      const last = (await log.text()).trimEnd().split("\n").slice(-20).join("\n");
      throw new Error(`${error instanceof Error ? error.message : error}:\n${last}`);
    }
    return daemon;
  }

  /** Path of a file in /proc as the host's processes see it: PIDs there are the host's. */
  proc(...path: readonly (string | number)[]): string {
    return join(`/proc/${this.#holder}/root/proc`, ...path.map(String));
  }

  /** Sends `signal` to a process of the host from outside its container: from an ancestor PID namespace. */
  async kill(pid: number, signal: string): Promise<void> {
    await this.output(["kill", "-s", signal, String(pid)]);
  }

  /** The fields of /proc/PID/status. Throws if the process is gone. */
  status(pid: number) {
    const now = status(pid, this.proc());
    if (!now) throw new Error(`there is no process ${pid} on the host`);
    return now;
  }

  /** The children of `pid`, zombies included. */
  childrenOf(pid: number): Process[] {
    return childrenOf(pid, this.proc());
  }

  /** True if the process exists, if only as a zombie. */
  exists(pid: number): boolean {
    return processAt(pid, this.proc()) !== undefined;
  }

  /** Ends every process and removes folder and cgroup. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#keeper.stdin.end();
    await this.#keeper.exited;
  }
}
