/** The commands that load the archive on a node without a registry. */
import { $ } from "bun";
import { digestName, type Reference } from "./name.ts";

/** The label by which containerd's CRI plugin, since 1.7, tells a kubelet not to garbage-collect an image. */
const PINNED = "io.cri-containerd.pinned=pinned";

/**
 * The commands for each engine, indented by two spaces, and the name by which it then knows the image and keeps it.
 *
 * @param archive path of the archive, as the shell will find it
 * @param byDigest true if the archive names the image by its digest
 */
export function loadingLines(archive: string, reference: Reference, digest: string, byDigest: boolean): string[] {
  const file = $.escape(archive);
  const { canonical, familiar } = reference;
  const name = digestName(reference, digest);
  return [
    "On a node without a registry, with containerd, k3s or RKE2:",
    `  ctr -n k8s.io images import ${file}`,
    ...(byDigest ? [] : [`  ctr -n k8s.io images tag ${canonical} ${name}`]),
    `  ctr -n k8s.io images label ${name} ${PINNED}`,
    "with podman or CRI-O:",
    `  podman load -i ${file}`,
    "with Docker or cri-dockerd:",
    `  docker load -i ${file}`,
    "The setting of containerd, k3s, RKE2 and podman then names:",
    `  ${name}`,
    "that of CRI-O, which keeps it under the name in the archive alone:",
    `  ${byDigest ? name : canonical}`,
    "that of Docker and cri-dockerd:",
    `  ${familiar}`,
  ];
}
