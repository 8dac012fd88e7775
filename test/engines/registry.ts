/** Starts a registry on a host's own loopback: docker-registry, which speaks HTTP there. */
import { join } from "node:path";
import type { Host } from "./host.ts";

/** The address where it listens. The port is free: the host has its own network, with nothing else in it. */
export const REGISTRY = "127.0.0.1:5000";

/**
 * Starts one that stores its content in `folder`: another with the same folder has the same content. It is open to
 * `account` alone, or to everybody.
 */
export async function startRegistry(
  host: Host,
  folder: string,
  account?: { readonly name: string; readonly password: string },
): Promise<void> {
  await host.output(["ip", "link", "set", "lo", "up"]);
  const file = join(host.folder, "registry.yml");
  const accounts = join(host.folder, "accounts");
  if (account) await Bun.write(accounts, `${account.name}:${await Bun.password.hash(account.password, "bcrypt")}\n`);
  // The file is YAML, and JSON is YAML too.
  const configuration = {
    version: "0.1",
    log: { level: "warn", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: folder } },
    http: { addr: REGISTRY },
    ...(account ? { auth: { htpasswd: { realm: "tests", path: accounts } } } : {}),
  };
  await Bun.write(file, JSON.stringify(configuration));
  const ask = ["bash", "-c", `: </dev/tcp/${REGISTRY.replace(":", "/")}`];
  await host.daemon("registry", ["docker-registry", "serve", file], async () => (await host.run(ask)).status === 0);
}
