/** The parts of a node that engines and kubelets share: a network for pods, and a runtime that runs without CAP_SYS_RESOURCE. */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";

/** The folder of the distribution's CNI plugins. */
export const CNI_PLUGINS = "/usr/lib/cni";

/** Writes the configuration of a network of the host's own, a bridge to nowhere, and returns the folder that it is in. */
export async function podNetwork(folder: string): Promise<string> {
  const ipam = { type: "host-local", subnet: "10.200.0.0/16", dataDir: join(folder, "addresses") };
  const bridge = { type: "bridge", bridge: "pods0", isGateway: false, ipMasq: false, ipam };
  const networks = join(folder, "cni");
  await mkdir(networks);
  const network = { cniVersion: "0.4.0", name: "pods", plugins: [bridge] };
  await Bun.write(join(networks, "pods.conflist"), JSON.stringify(network));
  return networks;
}

/**
 * A runtime that drops two settings, and then runs the one named by `$runtime`: protection from the kernel's OOM killer
 * needs CAP_SYS_RESOURCE, and limits of huge pages need a controller that not every machine has.
 */
const MODEST = `for word; do
  [ "$before" != --bundle ] || sed -i -z -E \\
    's/"(oomScoreAdj":\\s*-?[0-9]+|hugepageLimits":\\s*\\[[^]]*\\]),?//g; s/,(\\s*\\})/\\1/g' "$word/config.json"
  before=$word
done
exec $runtime "$@"
`;

/** Writes such a runtime and returns its path. */
export async function modestRuntime(folder: string, runtime: "runc" | "crun"): Promise<string> {
  const path = join(folder, "runtime");
  await Bun.write(path, `#!/bin/sh\nruntime=${runtime}\n${MODEST}`);
  await chmod(path, 0o755);
  return path;
}
