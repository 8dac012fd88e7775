/** Starts containerd as a CRI runtime whose sandboxes run a given pause image. */
import { join } from "node:path";
import { until } from "../../scripts/linux/proc.ts";
import { CriEngine } from "./cri-engine.ts";
import type { Host } from "./host.ts";
import type { Image, Pulled } from "./images.ts";
import { CNI_PLUGINS, podNetwork } from "./node.ts";

/**
 * containerd's configuration: everything below `folder`, the rest as shipped. Version 2 takes the sandbox image from
 * those that it pins.
 */
function configuration(major: number, folder: string, sandboxImage: string): string {
  const old = major < 2;
  const cri = `plugins."io.containerd.${old ? "grpc.v1.cri" : "cri.v1.runtime"}"`;
  return `version = ${old ? 2 : 3}
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${folder}/containerd.sock"
[${cri}]
  ${old ? `sandbox_image = "${sandboxImage}"` : ""}
  disable_apparmor = true
  restrict_oom_score_adj = true
  [${cri}.cni]
    ${old ? `bin_dir = "${CNI_PLUGINS}"` : `bin_dirs = ["${CNI_PLUGINS}"]`}
    conf_dir = "${folder}/cni"
  [${cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
${old ? "" : `[plugins."io.containerd.cri.v1.images".pinned_images]\n  sandbox = "${sandboxImage}"`}
`;
}

/** Joins the group `daemon` in the cgroup `$0`, in the hierarchy that counts processor time (v1 or v2), and runs the rest. */
const COUNTED = `for folder in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
  [ -e "$folder/cgroup.procs" ] || continue
  mkdir -p "$folder$0/daemon"
  echo $$ >"$folder$0/daemon/cgroup.procs"
  break
done
exec "$@"`;

/** Prints the nanoseconds of processor time and the bytes of memory charged to the cgroup `$0` (v1 or v2). */
const CHARGED = `folder=/sys/fs/cgroup
if [ -e $folder/cgroup.procs ]; then
  while read -r key value; do [ "$key" != usage_usec ] || echo "\${value}000"; done <"$folder$0/cpu.stat"
  cat "$folder$0/memory.current"
else
  cat "$folder/cpuacct$0/cpuacct.usage"
  cat "$folder/memory$0/memory.usage_in_bytes" 2>/dev/null || echo 0
fi`;

/** A running containerd. Its command is ctr, in the namespace of the images that pods use. */
export class Containerd extends CriEngine {
  /** True if it tells a kubelet which images not to collect: from 1.7 on. */
  readonly pins: boolean;

  private constructor(host: Host, pins: boolean, pause?: Image | Pulled, busybox?: Image) {
    const address = join(host.folder, "containerd.sock");
    super(host, ["ctr"], { CONTAINERD_ADDRESS: address, CONTAINERD_NAMESPACE: "k8s.io" }, address, pause, busybox);
    this.pins = pins;
  }

  /** Starts containerd with `pause` as its sandbox image, which it loads now or pulls for the first pod. */
  static async start(this: void, host: Host, pause?: Image | Pulled, busybox?: Image): Promise<Containerd> {
    const { folder } = host;
    const version = / v?(\d+)\.(\d+)\./.exec(await host.output(["containerd", "--version"]));
    const [, major = Number.NaN, minor = Number.NaN] = (version ?? []).map(Number);
    await podNetwork(folder);
    const file = join(folder, "containerd.toml");
    await Bun.write(file, configuration(major, folder, pause?.reference ?? ""));
    const containerd = new Containerd(host, major > 1 || minor >= 7, pause, busybox);
    const command = ["sh", "-ec", COUNTED, host.cgroup, "containerd", "--config", file];
    await host.daemon("containerd", command, () => containerd.answers());
    for (const image of [pause, busybox]) if (image?.archive) await containerd.load(image.archive);
    const events = ["ctr", "--address", join(folder, "containerd.sock"), "events"];
    await host.daemon("events", events, () => Promise.resolve(true));
    return containerd;
  }

  load(archive: string): Promise<string> {
    return this.output("images", "import", archive);
  }

  /** The processor time of it and all that it has started so far, in seconds, and the memory charged to them now, in MiB. */
  async taken(): Promise<Readonly<Record<"processorSeconds" | "memoryMiB", number>>> {
    const { cgroup } = this.host;
    const [time, memory] = (await this.host.output(["sh", "-ec", CHARGED, cgroup])).split("\n").map(Number);
    return { processorSeconds: (time ?? Number.NaN) / 1e9, memoryMiB: (memory ?? Number.NaN) / 2 ** 20 };
  }

  /** containerd's own events say it, and omit a status of 0. */
  protected async exitStatus(id: string): Promise<number> {
    const log = Bun.file(join(this.host.folder, "events.log"));
    const event = await until("the exit is reported", async () =>
      (await log.text()).split("\n").find((line) => line.includes(" /tasks/exit ") && line.includes(`"id":"${id}"`)),
    );
    return Number(/"exit_status":(\d+)/.exec(event)?.[1] ?? 0);
  }
}
