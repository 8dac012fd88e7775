/** Starts containerd as a CRI runtime whose sandboxes run a given pause image. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Cri } from "./cri.ts";
import { type Host, until } from "./host.ts";
import type { Image } from "./images.ts";

/** A running containerd. */
export interface Containerd extends AsyncDisposable {
  readonly host: Host;
  readonly cri: Cri;
}

/** containerd's configuration: everything below `folder`, the rest as shipped. */
function configuration(folder: string, sandboxImage: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${folder}/containerd.sock"
[${cri}]
  sandbox_image = "${sandboxImage}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_port = "0"
  [${cri}.cni]
    bin_dir = "${CNI_PLUGINS}"
    conf_dir = "${folder}/cni"
  [${cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;
}

/** Where the distribution keeps the CNI plugins. */
const CNI_PLUGINS =
  ["/usr/lib/cni", "/opt/cni/bin"].find((folder) => Bun.which("bridge", { PATH: folder })) ?? "/usr/lib/cni";

/** A network of the host's own: a bridge without a gateway to the outside. */
const NETWORK = (folder: string) => ({
  cniVersion: "0.4.0",
  name: "pods",
  plugins: [
    {
      type: "bridge",
      bridge: "pods0",
      isGateway: false,
      ipMasq: false,
      ipam: { type: "host-local", subnet: "10.200.0.0/16", dataDir: `${folder}/addresses` },
    },
  ],
});

/** Starts containerd, imports `images`, and makes `pause` its sandbox image. Stop it by disposing of it. */
export async function startContainerd(pause: Image, images: readonly Image[], host: Host): Promise<Containerd> {
  const { folder } = host;
  await mkdir(join(folder, "cni"));
  await Bun.write(join(folder, "cni", "pods.conflist"), JSON.stringify(NETWORK(folder)));
  await Bun.write(join(folder, "containerd.toml"), configuration(folder, pause.reference));
  const socket = join(folder, "containerd.sock");
  host.daemon("containerd", ["containerd", "--config", join(folder, "containerd.toml")]);
  const cri = new Cri(socket);
  await until("containerd answers", () => cri.call("Version", {}).catch(() => undefined));
  for (const { archive } of [pause, ...images]) {
    await host.output(["ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", archive]);
  }
  return {
    host,
    cri,
    async [Symbol.asyncDispose]() {
      cri[Symbol.dispose]();
      await host[Symbol.asyncDispose]();
    },
  };
}
