/** The two generations of container engines that the tests run: this machine's packages, and Debian sid's in a root of their own. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { debianMirrors } from "./apt.ts";
import { KEPT, kept } from "./cache.ts";
import { output } from "./command.ts";

/** A root file system with container engines in it. */
export interface Generation {
  /** As in "containerd of …". */
  readonly name: string;
  /** What of `commands` must be installed on this machine. */
  takes(commands: readonly string[]): readonly string[];
  /** The root folder, for Host.start; undefined for this machine's own. */
  root(): Promise<string | undefined>;
}

/** What is installed in Debian sid's root: the engines, and what the tests use beside them. */
const PACKAGES = [
  ...["containerd", "runc", "crun", "docker.io", "docker-cli", "podman", "conmon", "buildah", "skopeo"],
  ...["containernetworking-plugins", "catatonit", "e2fsprogs", "iproute2", "mount", "procps", "util-linux"],
  // What publishes an image, and to where.
  ...["cosign", "docker-registry", "jq", "oras"],
] as const;

/** Debian sid as it is this week: its packages change daily, and one download a week is enough. */
async function sid(): Promise<string> {
  const week = Math.floor(Date.now() / (7 * 24 * 3600 * 1000));
  const list = Bun.hash(PACKAGES.join()).toString(36);
  const root = await kept(`debian-sid-${week}-${list}`, async (path) => {
    console.log("Debian sid is downloaded, once a week: this takes two minutes");
    const [mirror] = await debianMirrors();
    await output(["debootstrap", "--variant=minbase", `--include=${PACKAGES.join(",")}`, "sid", path, mirror]);
    await rm(join(path, "var", "cache", "apt"), { recursive: true });
  });
  // The week before's stays, for a run that began in it.
  const roots = (await readdir(KEPT)).filter((name) => /^debian-sid-\d+-\w+$/.test(name)).sort();
  for (const name of roots.slice(0, -2)) await rm(join(KEPT, name), { recursive: true, force: true });
  return root;
}

/** This machine's engines: Debian 12's in CI. */
export const MACHINE: Generation = {
  name: "this machine",
  takes: (commands) => commands,
  root: () => Promise.resolve(undefined),
};

/** Debian sid's engines. */
export const SID: Generation = { name: "Debian sid", takes: () => ["debootstrap"], root: sid };

/** Both generations, the older one first. */
export const GENERATIONS: readonly Generation[] = [MACHINE, SID];
