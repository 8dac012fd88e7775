/** Reads image archives back, for the tests: an OCI layout or what `docker save` writes. */
import { type ParsedTarEntryWithData, unpackTar } from "modern-tar";
import { type Descriptor, digestOf } from "../../scripts/image/oci.ts";

export type { Descriptor } from "../../scripts/image/oci.ts";

/** A manifest, as read. */
export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An index, as read. */
export interface Index {
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An image's configuration, as read. */
interface Config {
  readonly architecture: string;
  readonly os: string;
  readonly config: Readonly<Record<"User" | "Entrypoint" | "Cmd" | "Env" | "WorkingDir" | "Labels", unknown>>;
}

/** A file, directory or link of a layer: its owner as UID:GID, its time in seconds since 1970, its size in bytes. */
function entryOf(path: string, { header, data }: ParsedTarEntryWithData) {
  return {
    path,
    type: header.type ?? "file",
    mode: (header.mode ?? 0) & 0o7777,
    owner: `${header.uid}:${header.gid}`,
    time: (header.mtime?.getTime() ?? 0) / 1000,
    target: header.linkname ?? "",
    size: data?.length ?? 0,
    digest: data ? digestOf(data) : "",
  };
}

/** A platform's image. */
export interface ReadImage {
  readonly config: Config;
  /** In the order of the layer. */
  readonly files: readonly ReturnType<typeof entryOf>[];
  /** The files' bytes by path. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
}

/** An archive's files by path. */
export class ArchiveReader {
  readonly files: ReadonlyMap<string, Uint8Array>;

  private constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.files = files;
  }

  /** Opens the tar file at `path`. */
  static async open(path: string): Promise<ArchiveReader> {
    const entries = await unpackTar(Bun.file(path).stream(), { strict: true });
    return new ArchiveReader(new Map(entries.flatMap(({ header, data }) => (data ? [[header.name, data]] : []))));
  }

  /** The file at `path`. Throws if there is none. */
  bytes(path: string): Uint8Array {
    const found = this.files.get(path);
    if (!found) throw new Error(`the archive holds no ${path}`);
    return found;
  }

  /** The JSON document at `path`. */
  json<T>(path: string): T {
    return JSON.parse(new TextDecoder().decode(this.bytes(path))) as T;
  }

  /** The content that the descriptor leads to. Throws if size or digest differ. */
  blob({ digest, size }: Descriptor): Uint8Array {
    const bytes = this.bytes(`blobs/${digest.replace(":", "/")}`);
    if (bytes.length !== size || digestOf(bytes) !== digest) throw new Error(`${digest}: other content`);
    return bytes;
  }

  /** The JSON document that the descriptor leads to. */
  document<T>(descriptor: Descriptor): T {
    return JSON.parse(new TextDecoder().decode(this.blob(descriptor))) as T;
  }

  /** The descriptor of the image index, and the index. */
  index(): readonly [Descriptor, Index] {
    const [descriptor, ...more] = this.json<Index>("index.json").manifests;
    if (!descriptor || more.length > 0) throw new Error("index.json does not name one index");
    return [descriptor, this.document<Index>(descriptor)];
  }

  /** The image that the manifest describes. */
  async image(manifest: Manifest): Promise<ReadImage> {
    const layers = manifest.layers.map((layer) => this.blob(layer));
    return { config: this.document<Config>(manifest.config), ...(await flatten(layers)) };
  }

  /** The only image of an archive that `docker save` wrote. */
  async dockerImage(): Promise<ReadImage> {
    const [image] = this.json<[{ Config: string; Layers: string[] }]>("manifest.json");
    const layers = image.Layers.map((layer) => this.bytes(layer));
    return { config: this.json<Config>(image.Config), ...(await flatten(layers)) };
  }
}

/** The tar archive in `layer`, whichever compression it has. */
function unpacked(layer: Uint8Array): Uint8Array {
  if (layer[0] === 0x1f && layer[1] === 0x8b) return Bun.gunzipSync(layer.slice());
  return layer[0] === 0x28 && layer[1] === 0xb5 ? Bun.zstdDecompressSync(layer.slice()) : layer;
}

/** The files of all layers; a later layer's replace an earlier one's. */
async function flatten(layers: readonly Uint8Array[]): Promise<Omit<ReadImage, "config">> {
  const found = new Map<string, ReturnType<typeof entryOf>>();
  const contents = new Map<string, Uint8Array>();
  for (const layer of layers) {
    for (const entry of await unpackTar(unpacked(layer), { strict: true })) {
      const path = entry.header.name.replace(/^\.?\//, "").replace(/\/$/, "");
      if (path === "" || path === ".") continue;
      if (entry.data) contents.set(path, entry.data);
      found.set(path, entryOf(path, entry));
    }
  }
  return { files: [...found.values()], contents };
}
