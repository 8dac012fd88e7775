/** The default seccomp profiles of real engines, as they write them for a running container without capabilities. */
import { POD, startContainerd } from "../containerd.ts";
import { Docker, STRICT } from "../docker.ts";
import { Host } from "../host.ts";
import { busyboxImage, referenceImage } from "../images.ts";
import type { RuntimeSpec } from "../oci.ts";

/** An engine's profile by the engine's name: `linux.seccomp` of an OCI runtime configuration. */
export type Profiles = Readonly<Record<"containerd" | "Docker", unknown>>;

/** Starts both engines, has each make a container, and reads the profile from the configuration it made. */
export async function defaultProfiles(): Promise<Profiles> {
  return { containerd: await containerdProfile(), Docker: await dockerProfile() };
}

async function containerdProfile(): Promise<unknown> {
  await using host = await Host.start();
  await using engine = await startContainerd(host, await referenceImage(host.folder), await busyboxImage(host.folder));
  const { runtimeSpec } = await engine.sandbox(await engine.runSandbox("profile", POD));
  return checked(runtimeSpec);
}

async function dockerProfile(): Promise<unknown> {
  await using host = await Host.start();
  await using docker = await Docker.start(host, await referenceImage(host.folder), await busyboxImage(host.folder));
  const id = await docker.output("run", "--detach", ...STRICT, docker.pause);
  const bundle = `${host.folder}/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/${id}`;
  return checked((await Bun.file(`${bundle}/config.json`).json()) as RuntimeSpec);
}

/** The profile, which must be there. */
function checked({ linux }: RuntimeSpec): unknown {
  if (!linux.seccomp) throw new Error("the engine made a container without a seccomp profile");
  return linux.seccomp;
}
