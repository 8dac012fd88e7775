/** The default seccomp profiles of real engines, as they write them for a running container without capabilities. */
import { Containerd } from "../containerd.ts";
import { POD } from "../cri-engine.ts";
import { Docker, STRICT } from "../docker.ts";
import { onNewHost } from "../engine.ts";
import type { Generation } from "../generations.ts";
import { referenceImage } from "../images.ts";
import type { RuntimeSpec } from "../oci.ts";

/** An engine's profile by the engine's name: `linux.seccomp` of an OCI runtime configuration. */
export type Profiles = Readonly<Record<"containerd" | "Docker", unknown>>;

/** The profiles of each generation, as far as requested. */
const known = new Map<Generation, Promise<Profiles>>();

/** Starts both engines, once per run, makes a container with each, and reads the profile from its configuration. */
export function defaultProfiles(generation: Generation): Promise<Profiles> {
  const profiles =
    known.get(generation) ??
    (async () => ({ containerd: await containerdProfile(generation), Docker: await dockerProfile(generation) }))();
  known.set(generation, profiles);
  return profiles;
}

async function containerdProfile(generation: Generation): Promise<unknown> {
  await using engine = await onNewHost(generation, async (host) =>
    Containerd.start(host, await referenceImage(host.folder)),
  );
  const { runtimeSpec } = await engine.sandbox(await engine.runSandbox("profile", POD));
  return checked(runtimeSpec);
}

async function dockerProfile(generation: Generation): Promise<unknown> {
  await using docker = await onNewHost(generation, async (host) =>
    Docker.start(host, await referenceImage(host.folder)),
  );
  const id = await docker.output("run", "--detach", ...STRICT, docker.pause);
  const bundle = `${docker.host.folder}/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/${id}`;
  return checked((await Bun.file(`${bundle}/config.json`).json()) as RuntimeSpec);
}

/** The profile. Throws if there is none. */
function checked({ linux }: RuntimeSpec): unknown {
  if (!linux.seccomp) throw new Error("the engine made a container without a seccomp profile");
  return linux.seccomp;
}
