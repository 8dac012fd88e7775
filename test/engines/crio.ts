/** Starts CRI-O as a CRI runtime whose sandboxes run a given pause image. No Debian package has it: it is where CRIO says. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../scripts/linux/proc.ts";
import { CriEngine } from "./cri-engine.ts";
import type { Host } from "./host.ts";
import type { Image } from "./images.ts";
import { CNI_PLUGINS, modestRuntime, podNetwork } from "./node.ts";

/** CRI-O's configuration: images and containers below `folder`, an infra container for every pod, the rest as shipped. */
function configuration(folder: string, runtime: string, pause: string): string {
  return `[crio]
root = "${folder}/root"
runroot = "/run/storage"
storage_driver = "overlay"
[crio.api]
listen = "${folder}/crio.sock"
stream_port = "0"
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
pinns_path = "${folder}/pinns"
drop_infra_ctr = false
default_runtime = "modest"
[crio.runtime.runtimes.modest]
runtime_path = "${runtime}"
runtime_root = "${folder}/runtime-root"
[crio.image]
pause_image = "${pause}"
pause_command = "/pause"
signature_policy = "${folder}/policy.json"
[crio.network]
network_dir = "${folder}/cni"
plugin_dirs = ["${CNI_PLUGINS}"]
[crio.nri]
enable_nri = false
`;
}

/** A running CRI-O. Its command is podman, with the same storage. */
export class Crio extends CriEngine {
  private constructor(host: Host, pause: Image, busybox: Image) {
    const { folder } = host;
    const storage = ["--root", `${folder}/root`, "--runroot", "/run/storage", "--storage-driver", "overlay"];
    const env = { TMPDIR: folder, PODMAN_IGNORE_CGROUPSV1_WARNING: "1" };
    super(host, ["podman", ...storage], env, `${folder}/crio.sock`, pause, busybox);
  }

  /** Starts the CRI-O in the folder `programs` with `pause` as its sandbox image. Containers are crun's. */
  static async start(programs: string, host: Host, pause: Image, busybox: Image): Promise<Crio> {
    const { folder } = host;
    await podNetwork(folder);
    const runtime = await modestRuntime(folder, "crun");
    await Bun.write(`${folder}/policy.json`, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
    await Bun.write(`${folder}/crio.conf`, configuration(folder, runtime, pause.reference));
    for (const name of ["crio", "pinns"]) await copyFile(join(programs, name), join(folder, name));
    const crio = new Crio(host, pause, busybox);
    for (const { archive } of [pause, busybox]) await crio.load(archive);
    const command = [`${folder}/crio`, "--config", `${folder}/crio.conf`, "--config-dir", ""];
    await host.daemon("crio", command, () => crio.answers());
    return crio;
  }

  load(archive: string): Promise<string> {
    return this.output("load", "--quiet", "--input", archive);
  }

  /** conmon writes it to a file. */
  protected async exitStatus(id: string): Promise<number> {
    const file = Bun.file(`${this.host.folder}/root/overlay-containers/${id}/userdata/exit`);
    return Number(await until("the exit is reported", async () => (await file.exists()) && (await file.text())));
  }
}
