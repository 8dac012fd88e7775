/** Puts the image into one tar file: an OCI image layout, and what `docker load` reads without the containerd image store. */
import { digestName, type Reference } from "./name.ts";
import type { Blob, PlatformImage } from "./oci.ts";
import type { Entry } from "./rootfs.ts";

/** The place of content in the layout. */
function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

/**
 * The files of the archive.
 *
 * `index.json` names the one image index, which every container engine reads except Docker without the containerd image
 * store. That reads `manifest.json`, which cannot name an index and so has the first platform's image.
 *
 * `index.json` names the index once, by tag or by digest. containerd would accept both names as two descriptors, but
 * podman and skopeo refuse a layout with more than one: podman then takes the image of `manifest.json`, which has no
 * digest.
 *
 * @param index the image index
 * @param images the platforms' images
 * @param byDigest true if containerd and podman are to know the image by its digest instead of its tag
 */
export function archiveEntries(
  index: Blob,
  images: readonly PlatformImage[],
  reference: Reference,
  byDigest: boolean,
): Entry[] {
  const file = (path: string, body: Uint8Array): Entry => ({ path, type: "file", mode: 0o644, body });
  const json = (path: string, document: unknown) => file(path, new TextEncoder().encode(JSON.stringify(document)));
  const annotations = {
    // The first is containerd's and podman's, the second the specification's.
    "io.containerd.image.name": byDigest ? digestName(reference, index.descriptor.digest) : reference.canonical,
    "org.opencontainers.image.ref.name": reference.tag,
  };
  const blobs = images.flatMap(({ layer, config, manifest }) => [layer, config, manifest]);
  const content = new Map([index, ...blobs].map(({ descriptor, bytes }) => [descriptor.digest, bytes]));
  return [
    json("oci-layout", { imageLayoutVersion: "1.0.0" }),
    json("index.json", {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{ ...index.descriptor, annotations }],
    }),
    json(
      "manifest.json",
      images.slice(0, 1).map(({ config, layer }) => ({
        Config: blobPath(config.descriptor.digest),
        RepoTags: [reference.familiar],
        Layers: [blobPath(layer.descriptor.digest)],
      })),
    ),
    ...[...content].sort(([a], [b]) => (a < b ? -1 : 1)).map(([digest, bytes]) => file(blobPath(digest), bytes)),
  ];
}
