/** The image as `npm run image` writes it: read back, measured against its limits, and refused on bad input. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import pkg from "../../package.json";
import { messageOf } from "../../scripts/command/report.ts";
import type { Ran } from "../../scripts/command/run.ts";
import { CACHE } from "../../scripts/executable/cache.ts";
import { Elf } from "../../scripts/executable/elf.ts";
import { PLATFORMS } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { libc6 } from "../../scripts/image/libc.ts";
import { imageLicence, licenceTexts } from "../../scripts/image/licences.ts";
import { EMPTY, librariesOf } from "../../scripts/image/rootfs.ts";
import { ArchiveReader, type Descriptor, type Index, type Manifest, type ReadImage } from "../support/image-reader.ts";
import { freshProject, image, POOL } from "../support/project.ts";
import { testIf } from "../support/skip.ts";

/** Limits: files of an image, and its layers compressed with gzip, in bytes. */
const SIZE_LIMIT = 73_000_000;
const GZIP_LIMIT = 29_500_000;
/** Two compilations and two compressions on a slow machine. */
const PATIENCE = 300_000;
/** Any time: noon of a day long past. */
const TIME = 1_000_000_800;
/** Any address. */
const SOURCE = "https://git.example/pause-ts";

/** Why there can be no image here, or undefined: a machine may have neither apt nor a way to a Debian mirror. */
const missing = process.env["CI"]
  ? undefined
  : await Promise.all(PLATFORMS.map((platform) => libc6(platform))).then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
const test = (title: string, body: () => void | Promise<void>) => testIf(missing, title, body);

/** A component of a bill of materials: what it is called, who supplies it, and its licences. */
interface Component {
  readonly name: string;
  readonly supplier?: { readonly name: string };
  readonly licenses: readonly unknown[];
  readonly externalReferences: readonly { readonly type: string; readonly url: string }[];
  readonly components?: readonly Component[];
}

let folder = "";
let built: Ran;
let archive: ArchiveReader;
let index: Index;
let indexDescriptor: Descriptor;
const images = new Map<string, ReadImage>();
const manifests = new Map<string, Manifest>();

/** The manifest and the image of an architecture. */
function of(architecture: string): { manifest: Manifest; read: ReadImage } {
  const [manifest, read] = [manifests.get(architecture), images.get(architecture)];
  if (!manifest || !read) throw new Error(`no image for ${architecture}`);
  return { manifest, read };
}

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = await mkdtemp(join(tmpdir(), "pause-image-"));
  const path = join(folder, "out", "pause-ts.oci.tar");
  const env = { SOURCE_DATE_EPOCH: String(TIME) };
  built = await image(["--output", path, "--tag", "myorg/pause-ts:1", "--revision", "abc", "--source", SOURCE], env);
  if (built.status !== 0) throw new Error(built.stderr);
  archive = await ArchiveReader.open(path);
  [indexDescriptor, index] = archive.index();
  for (const descriptor of index.manifests) {
    const { architecture = "" } = descriptor.platform ?? {};
    const manifest = archive.document<Manifest>(descriptor);
    manifests.set(architecture, manifest);
    images.set(architecture, await archive.image(manifest));
  }
}, PATIENCE);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("says what it wrote, without progress or a warning in a pipe", () => {
  expect(built.stderr).toBe("");
  expect(built.stdout).toContain(`myorg/pause-ts:1 ${indexDescriptor.digest}\n`);
});

test("leaves the archive and a bill of materials for each platform, and nothing else", async () => {
  const boms = PLATFORMS.map(({ name }) => `pause-ts.${name}.cdx.json`);
  expect((await readdir(join(folder, "out"))).sort()).toEqual([...boms, "pause-ts.oci.tar"].sort());
});

test("the index has both platforms and nothing else, and names", () => {
  expect(index.manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`)).toEqual(
    PLATFORMS.map(({ id }) => id),
  );
  expect(archive.json<{ imageLayoutVersion: string }>("oci-layout").imageLayoutVersion).toBe("1.0.0");
  expect(indexDescriptor.annotations).toEqual({
    "io.containerd.image.name": "docker.io/myorg/pause-ts:1",
    "org.opencontainers.image.ref.name": "1",
  });
});

test("every blob is what its name says, and is referred to", () => {
  const wanted = new Set([indexDescriptor.digest]);
  for (const descriptor of index.manifests) {
    const { config, layers } = archive.document<Manifest>(descriptor);
    for (const inner of [descriptor, config, ...layers]) {
      archive.blob(inner);
      wanted.add(inner.digest);
    }
  }
  const present = [...archive.files.keys()].filter((path) => path.startsWith("blobs/"));
  expect(present.sort()).toEqual([...wanted].map((digest) => `blobs/${digest.replace(":", "/")}`).sort());
});

test("the older Docker's manifest leads to the first platform's image", async () => {
  const { read } = of("amd64");
  const [entry] = archive.json<[{ RepoTags: string[] }]>("manifest.json");
  expect(entry.RepoTags).toEqual(["myorg/pause-ts:1"]);
  expect(await archive.dockerImage()).toEqual(read);
});

for (const platform of PLATFORMS) {
  const { architecture, loader } = platform;
  describe(platform.name, () => {
    test("starts /pause as 65535:65535", () => {
      const { config } = of(architecture).read;
      expect(config.architecture).toBe(architecture);
      expect(config.config.User).toBe("65535:65535");
      expect(config.config.Entrypoint).toEqual(["/pause"]);
      expect(config.config.Cmd).toBeUndefined();
    });

    test("has the labels, which are annotations too", () => {
      const { manifest, read } = of(architecture);
      expect(read.config.config.Labels).toEqual({
        "org.opencontainers.image.created": new Date(TIME * 1000).toISOString().replace(".000", ""),
        "org.opencontainers.image.description": pkg.description,
        "org.opencontainers.image.licenses": imageLicence(),
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.source": SOURCE,
        "org.opencontainers.image.title": pkg.name,
        "org.opencontainers.image.version": pkg.version,
      });
      expect(manifest.annotations).toEqual(read.config.config.Labels);
      expect(index.annotations).toEqual(read.config.config.Labels);
    });

    test("holds /pause, its libraries and their metadata, and no other file", async () => {
      const files = of(architecture).read.files.filter(({ type }) => type !== "directory");
      const tuple = { amd64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" }[architecture];
      const needed = new Elf(await fileIn(architecture, "pause")).libraries;
      expect(needed).toContain("libc.so.6");
      const libraries = new Set([...needed, ...EMPTY, basename(loader)]);
      expect(files.map(({ path }) => path).sort()).toEqual(
        [
          ...["etc/debian_version", "etc/os-release", `usr${loader}`, "pause"],
          ...new Set(["lib", loader.replace(/^\/(\w+)\/.*/, "$1")]),
          ...[...libraries].map((name) => `usr/lib/${tuple}/${name}`),
          ...licenceTexts().map(({ path }) => path),
          ...["usr/share/doc/libc6/copyright", "var/lib/dpkg/status.d/libc6", "var/lib/dpkg/status.d/libc6.md5sums"],
        ].sort(),
      );
    });

    test("modes, owner, times and order are fixed", () => {
      const { files } = of(architecture).read;
      const mode = new Map(files.map((file) => [file.path, file.mode]));
      expect(mode.get("pause")).toBe(0o755);
      expect(new Set(files.map(({ owner }) => owner))).toEqual(new Set(["0:0"]));
      expect(new Set(files.map(({ time }) => time))).toEqual(new Set([TIME]));
      for (const file of files) {
        if (file.type === "directory") expect(file.mode).toBe(0o755);
        if (file.type === "file") expect([0o644, 0o755]).toContain(file.mode);
      }
      const paths = files.map(({ path }) => path);
      expect(paths).toEqual([...paths].sort());
    });

    test(`is at most ${SIZE_LIMIT} bytes, ${GZIP_LIMIT} with gzip`, () => {
      const { manifest, read } = of(architecture);
      expect(read.files.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(SIZE_LIMIT);
      expect(manifest.layers.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(GZIP_LIMIT);
      // As containerd and podman count: the unpacked layer with its headers.
      const [layer] = manifest.layers;
      const tar = Bun.gunzipSync(archive.blob(layer as Descriptor).slice());
      expect(tar.length).toBeLessThanOrEqual(SIZE_LIMIT);
      expect(layer?.mediaType).toBe("application/vnd.oci.image.layer.v1.tar+gzip");
    });

    test("the bill of materials names the versions and digests that are in the image", async () => {
      const path = join(folder, "out", `pause-ts.${platform.name}.cdx.json`);
      const { components, metadata } = (await Bun.file(path).json()) as {
        components: { name: string; version: string; purl?: string; hashes: { content: string }[] }[];
        metadata: { timestamp: string; component: { "bom-ref": string } };
      };
      const target = index.manifests.find((descriptor) => descriptor.platform?.architecture === architecture);
      expect(metadata.component["bom-ref"]).toBe(target?.digest ?? "");
      expect(Object.fromEntries(components.map(({ name, version }) => [name, version]))).toEqual({
        [pkg.name]: pkg.version,
        ...pkg.dependencies,
        bun: pkg.devDependencies.bun,
        libc6: LIBC6.version,
      });
      expect(Date.parse(metadata.timestamp)).toBe(TIME * 1000);
      const pause = of(architecture).read.files.find(({ path: name }) => name === "pause");
      expect(`sha256:${components.find(({ name }) => name === pkg.name)?.hashes[0]?.content}`).toBe(
        pause?.digest ?? "",
      );
      expect(components.find(({ name }) => name === "libc6")?.purl).toBe(
        `pkg:deb/debian/libc6@${LIBC6.version.replace("+", "%2B")}?arch=${architecture}&distro=debian-${LIBC6.release}&upstream=glibc`,
      );
    });

    test("the bill of materials has what NTIA's minimum elements ask for", async () => {
      const path = join(folder, "out", `pause-ts.${platform.name}.cdx.json`);
      const { components, metadata, dependencies } = (await Bun.file(path).json()) as {
        components: Component[];
        metadata: {
          authors: { name: string }[];
          tools: { components: { name: string; version: string }[] };
          component: Component;
        };
        dependencies: { ref: string }[];
      };
      const all = components.flatMap((component) => [component, ...(component.components ?? [])]);
      const unsupplied = [metadata.component, ...all].filter(({ supplier }) => !supplier?.name);
      expect(unsupplied.map(({ name }) => name)).toEqual([]);
      expect(metadata.authors[0]?.name).toBeTruthy();
      expect(metadata.tools.components).toContainEqual(
        expect.objectContaining({ name: "npm run image", version: pkg.version }),
      );
      expect(dependencies.length).toBe(all.length + 1);
    });

    test("dpkg's checksums are those of the package's files in the image", async () => {
      const lines = new TextDecoder().decode(await fileIn(architecture, "var/lib/dpkg/status.d/libc6.md5sums"));
      const sums = lines
        .trimEnd()
        .split("\n")
        .map((line) => line.split("  "));
      expect(sums.map(([, path]) => path)).toContain("usr/share/doc/libc6/copyright");
      for (const [sum, path = ""] of sums) {
        expect([
          path,
          createHash("md5")
            .update(await fileIn(architecture, path))
            .digest("hex"),
        ]).toEqual([path, sum ?? ""]);
      }
    });

    test("the licences that the bill of materials names are in the image, and no others; every component has one", async () => {
      const path = join(folder, "out", `pause-ts.${platform.name}.cdx.json`);
      const bom = (await Bun.file(path).json()) as { components: Component[] };
      const components = bom.components.flatMap((component) => [component, ...(component.components ?? [])]);
      const named = components.map(({ name, licenses, externalReferences }) => {
        const texts = externalReferences.filter(({ type }) => type === "license").map(({ url }) => url);
        expect([name, licenses.length, texts.length > 0]).toEqual([name, 1, true]);
        return texts;
      });
      const present = of(architecture).read.files.filter(
        (file) => file.type === "file" && file.size > 0 && file.path.startsWith("usr/share/doc/"),
      );
      expect([...new Set(named.flat())].sort()).toEqual(present.map((file) => `file:///${file.path}`).sort());
    });

    test("a library that the package lacks is named", async () => {
      const executable = Buffer.from(await fileIn(architecture, "pause"));
      executable.write("libx.so.9", executable.indexOf("libm.so.6\0"));
      const libc = await libc6(platform);
      expect(() => librariesOf(executable, platform, libc)).toThrow(
        `/pause needs libx.so.9, which libc6 ${LIBC6.version} does not hold`,
      );
    });
  });
}

/** The unpacked layers, by architecture. */
const layers = new Map<string, Bun.Archive>();

/** The bytes of the file at `path` in the image of an architecture. */
async function fileIn(architecture: string, path: string): Promise<Uint8Array> {
  const [layer] = of(architecture).manifest.layers;
  const unpacked =
    layers.get(architecture) ?? new Bun.Archive(Bun.gunzipSync(archive.blob(layer as Descriptor).slice()));
  layers.set(architecture, unpacked);
  const entries = await unpacked.files(path);
  return (await entries.get(path)?.bytes()) ?? new Uint8Array();
}

test("a Debian mirror with the package serves a build", async () => {
  const [platform = undefined as never] = PLATFORMS;
  const name = `libc6_${LIBC6.version}_${platform.architecture}.deb`;
  const { root, where, mirror } = await freshProject(folder);
  await Bun.write(join(mirror, POOL, name), Bun.file(join(CACHE, name)));
  const target = [
    "--rootfs",
    join(where, "rootfs"),
    "--debian-mirror",
    `file://${mirror}`,
    "--platform",
    "linux/amd64",
  ];
  expect(await image(target, { SOURCE_DATE_EPOCH: "1" }, root)).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(await readdir(where)).toEqual(["rootfs"]);
});
