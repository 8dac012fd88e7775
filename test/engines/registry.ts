/** Starts a registry on a host's own loopback: docker-registry, with neither accounts nor TLS. */
import { join } from "node:path";
import type { Host } from "./host.ts";

/** Where it listens. The port is free: the host's network is its own, with nothing else in it. */
export const REGISTRY = "127.0.0.1:5000";

/** docker-registry's configuration. */
function configuration(folder: string): string {
  return `version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: ${JSON.stringify(folder)} } }
http: { addr: ${JSON.stringify(REGISTRY)} }
`;
}

/** Starts one that keeps what it gets in `folder`: another with the same folder has the same. */
export async function startRegistry(host: Host, folder: string): Promise<void> {
  await host.output(["ip", "link", "set", "lo", "up"]);
  const file = join(host.folder, "registry.yml");
  await Bun.write(file, configuration(folder));
  const ask = ["bash", "-c", `: </dev/tcp/${REGISTRY.replace(":", "/")}`];
  await host.daemon("registry", ["docker-registry", "serve", file], async () => (await host.run(ask)).status === 0);
}
