/**
 * The generations of container engines that the tests run: this machine's packages, and those of Debian 13 and sid in
 * separate roots.
 */
import { debianRoot } from "../../scripts/debian/root.ts";

/** A root file system with container engines in it. */
export interface Generation {
  /** As in "containerd of …". */
  readonly name: string;
  /** Which of `commands`, or what instead of them, must be installed on this machine. */
  takes(commands: readonly string[]): readonly string[];
  /** The root folder, for Host.start; undefined for this machine's own. */
  root(): Promise<string | undefined>;
}

/** The packages in a root: the engines, tools that publish an image, and what the tests use besides. */
const ENGINES = [
  ...["containerd", "runc", "crun", "docker.io", "docker-cli", "podman", "conmon", "buildah", "skopeo"],
  ...["containernetworking-plugins", "catatonit", "e2fsprogs", "iproute2", "mount", "procps", "uidmap", "util-linux"],
  ...["docker-registry", "cosign", "jq", "oras"],
] as const;

/** This machine's engines: Debian 12's in CI. */
export const MACHINE: Generation = {
  name: "this machine",
  takes: (commands) => commands,
  root: () => Promise.resolve(undefined),
};

/** The engines of a suite of Debian. */
function debian(name: string, suite: string, ...more: readonly string[]): Generation {
  return { name, takes: () => ["debootstrap"], root: () => debianRoot(suite, [...ENGINES, ...more]) };
}

/** Debian 13's engines, and gVisor. */
export const TRIXIE: Generation = debian("Debian 13", "trixie", "runsc");

/**
 * Debian sid's engines, or undefined if sid cannot be installed and no earlier root is kept: its packages are not always
 * installable together, which is no fault of what is tested.
 */
export const SID: Generation | undefined = await (async () => {
  const sid = debian("Debian sid", "sid");
  try {
    if (process.getuid?.() === 0 && Bun.which("debootstrap")) await sid.root();
    return sid;
  } catch (error) {
    console.log(`Debian sid is left out, it cannot be installed today: ${error}`);
    return undefined;
  }
})();

/**
 * Those of Debian's releases, for tests that would take minutes and do not differ in sid: pods of Docker and podman, and
 * of the runtimes alone, which sid's containerd and podman run anyway.
 */
export const STABLE: readonly Generation[] = [MACHINE, TRIXIE];

/** All of them, the oldest first. */
export const GENERATIONS: readonly Generation[] = [...STABLE, ...(SID ? [SID] : [])];
