/** What an operator types to load the archive on a node without a registry. */
import { $ } from "bun";
import { digestName, type Reference } from "./name.ts";

/** The label by which containerd's CRI plugin, since 1.7, tells a kubelet not to garbage-collect an image. */
const PINNED = "io.cri-containerd.pinned=pinned";

/**
 * The commands for each engine, indented by two spaces, and the name by which it then knows the image.
 *
 * @param archive path of the archive, as the shell will find it
 * @param byDigest whether the archive names the image by its digest
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
    "with Docker:",
    `  docker load -i ${file}`,
    "The engine's setting then names:",
    `  ${name}`,
    "With Docker, which keeps no digest of what it loads:",
    `  ${familiar}`,
  ];
}
