/** The documents of an OCI image: configuration, manifests and index, as the OCI image specification 1.1 defines them. */
import { createHash } from "node:crypto";
import type { Platform } from "../executable/platforms.ts";
import type { Compression } from "./layer.ts";
import { labels, type Provenance, rfc3339 } from "./provenance.ts";

/** Names content, and says of what kind it is. */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` and the digest in hexadecimal. */
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Content and its descriptor. */
export interface Blob {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** A platform's image: what its manifest names, the manifest included. */
export interface PlatformImage {
  readonly platform: Platform;
  readonly layer: Blob;
  readonly config: Blob;
  readonly manifest: Blob;
}

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";

/** `sha256:` and the digest of `bytes`. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Content of a media type. */
function blobOf(mediaType: string, bytes: Uint8Array): Blob {
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes };
}

/** A JSON document as a blob, with its keys in the order in which they are written. */
function json(mediaType: string, document: unknown): Blob {
  return blobOf(mediaType, new TextEncoder().encode(JSON.stringify(document)));
}

/** The image of one layer for `platform`: `tar` as it is, `compressed` as it is shipped. */
export function platformImage(
  platform: Platform,
  tar: Uint8Array,
  compressed: Uint8Array,
  compression: Compression,
  origin: Provenance,
): PlatformImage {
  const created = rfc3339(origin.time);
  const layer = blobOf(`application/vnd.oci.image.layer.v1.tar+${compression}`, compressed);
  const config = json("application/vnd.oci.image.config.v1+json", {
    created,
    architecture: platform.architecture,
    os: "linux",
    config: {
      User: "65535:65535",
      // Builders add PATH and the working directory to any image: written down, they are equal with every builder.
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      Entrypoint: ["/pause"],
      WorkingDir: "/",
      Labels: labels(origin),
    },
    rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
    history: [{ created, created_by: "npm run image" }],
  });
  const manifest = json(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: config.descriptor,
    layers: [layer.descriptor],
    annotations: labels(origin),
  });
  return { platform, layer, config, manifest };
}

/** The index of all platforms' images. */
export function imageIndex(images: readonly PlatformImage[], origin: Provenance): Blob {
  return json(INDEX, {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: images.map(({ manifest, platform: { architecture } }) => ({
      ...manifest.descriptor,
      platform: { architecture, os: "linux" },
    })),
    annotations: labels(origin),
  });
}
