/** What an operator types on a node that loads the archive, for want of a registry. */
import { $ } from "bun";
import { digestName, type Reference } from "./name.ts";

/** What containerd tells a kubelet by, that it is not to collect an image: a label of the CRI plugin since 1.7. */
const PINNED = "io.cri-containerd.pinned=pinned";

/**
 * The commands by engine, indented by two spaces, and the name that each engine then has the image by.
 *
 * @param archive path of the archive as the shell is to find it
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
