/** Packs the root filesystem into the one layer of the image. */
import { packTar, type TarEntry } from "modern-tar";
import type { Entry } from "./rootfs.ts";

/** The compression of a layer. */
export type Compression = "gzip" | "zstd";

/** All compressions; the first is the one that every container engine reads. */
export const COMPRESSIONS: readonly Compression[] = ["gzip", "zstd"];

/** A tar archive of `entries`, with every timestamp set to `time` (seconds since 1970). */
export async function tarOf(entries: readonly Entry[], time: number): Promise<Uint8Array<ArrayBuffer>> {
  return packTar(
    entries.map(({ path, type, mode, body, target }): TarEntry => {
      const name = type === "directory" ? `${path}/` : path;
      const header = { name, type, mode, uid: 0, gid: 0, mtime: new Date(time * 1000), size: body?.length ?? 0 };
      return { header: { ...header, ...(target !== undefined && { linkname: target }) }, ...(body && { body }) };
    }),
  );
}

/**
 * Compresses `tar`: with the same version of Bun, equal input gives equal output.
 *
 * libdeflate's level 10 and zstd's 20 are the lowest that keep the image well within its limits. Level 20 needs a
 * window of 32 MB for unpacking.
 */
export async function compress(tar: Uint8Array<ArrayBuffer>, compression: Compression): Promise<Uint8Array> {
  if (compression === "zstd") return Bun.zstdCompress(tar, { level: 20 });
  return Bun.gzipSync(tar, { level: 10, library: "libdeflate" });
}
