/** The image as `npm run image` writes it: read back, and measured against its limits. */
import { beforeAll, describe, expect } from "bun:test";
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import pkg from "../../package.json";
import type { Ran } from "../../scripts/command/run.ts";
import { Elf } from "../../scripts/executable/elf.ts";
import { PLATFORMS } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { libc6 } from "../../scripts/image/libc.ts";
import { imageLicence, licenceTexts } from "../../scripts/image/licences.ts";
import { EMPTY, librariesOf } from "../../scripts/image/rootfs.ts";
import { ArchiveReader, type Descriptor, type Index, type Manifest, type ReadImage } from "../support/image-reader.ts";
import { image } from "../support/project.ts";
import { temporary } from "../support/temporary.ts";
import { bill, NEEDS_LIBC6, testSupplied as test } from "./supplied.ts";

/** Limits: files of an image, and its layers compressed with gzip, in bytes. */
const SIZE_LIMIT = 73_000_000;
const GZIP_LIMIT = 29_500_000;
/** Two compilations and two compressions on a slow machine, in milliseconds. */
const PATIENCE = 300_000;
/** Any time: noon of a day long past. */
const TIME = 1_000_000_800;
/** Any address. */
const SOURCE = "https://git.example/pause-ts";

const out = join(temporary("image"), "out");
let built: Ran;
let archive: ArchiveReader;
let index: Index;
let indexDescriptor: Descriptor;
const images = new Map<string, { readonly manifest: Manifest; readonly read: ReadImage }>();

/** The manifest and the image of an architecture. */
function of(architecture: string) {
  const found = images.get(architecture);
  if (!found) throw new Error(`no image for ${architecture}`);
  return found;
}

beforeAll(async () => {
  if (NEEDS_LIBC6 !== undefined) return;
  const path = join(out, "pause-ts.oci.tar");
  const env = { SOURCE_DATE_EPOCH: String(TIME) };
  built = await image(["--output", path, "--tag", "myorg/pause-ts:1", "--revision", "abc", "--source", SOURCE], env);
  if (built.status !== 0) throw new Error(built.stderr);
  archive = await ArchiveReader.open(path);
  [indexDescriptor, index] = archive.index();
  for (const descriptor of index.manifests) {
    const { architecture = "" } = descriptor.platform ?? {};
    const manifest = archive.document<Manifest>(descriptor);
    images.set(architecture, { manifest, read: await archive.image(manifest) });
  }
}, PATIENCE);

test("the archive and a bill of materials for each platform are written, nothing else, without progress in a pipe", async () => {
  expect(built.stderr).toBe("");
  expect(built.stdout).toContain(`myorg/pause-ts:1 ${indexDescriptor.digest}\n`);
  const bills = PLATFORMS.map(({ name }) => `pause-ts.${name}.cdx.json`);
  expect((await readdir(out)).sort()).toEqual([...bills, "pause-ts.oci.tar"].sort());
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

test("the older Docker's manifest leads to the first platform's image", async () => {
  const [entry] = archive.json<[{ RepoTags: string[] }]>("manifest.json");
  expect(entry.RepoTags).toEqual(["myorg/pause-ts:1"]);
  const { config, files } = of("amd64").read;
  expect(await archive.dockerImage()).toMatchObject({ config, files });
});

for (const platform of PLATFORMS) {
  const { architecture, loader } = platform;
  describe(platform.name, () => {
    test("starts /pause as 65535:65535, and has the labels, which are annotations too", () => {
      const { manifest, read } = of(architecture);
      const { User, Entrypoint, Cmd, Labels } = read.config.config;
      expect([read.config.architecture, User, Entrypoint, Cmd]).toEqual([
        architecture,
        "65535:65535",
        ["/pause"],
        undefined,
      ]);
      expect(Labels).toEqual({
        "org.opencontainers.image.created": new Date(TIME * 1000).toISOString().replace(".000", ""),
        "org.opencontainers.image.description": pkg.description,
        "org.opencontainers.image.licenses": imageLicence(),
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.source": SOURCE,
        "org.opencontainers.image.title": pkg.name,
        "org.opencontainers.image.version": pkg.version,
      });
      expect(Labels).toEqual(manifest.annotations);
      expect(Labels).toEqual(index.annotations);
    });

    test("holds /pause, its libraries and their metadata, and no other file", () => {
      const { files, contents } = of(architecture).read;
      const tuple = { amd64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" }[architecture];
      const needed = new Elf(contents.get("pause") ?? new Uint8Array()).libraries;
      expect(needed).toContain("libc.so.6");
      const libraries = new Set([...needed, ...EMPTY, basename(loader)]);
      expect(files.flatMap(({ type, path }) => (type === "directory" ? [] : [path])).sort()).toEqual(
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
      expect(files.find(({ path }) => path === "pause")?.mode).toBe(0o755);
      for (const { type, mode, owner, time } of files) {
        expect([owner, time]).toEqual(["0:0", TIME]);
        if (type === "directory") expect(mode).toBe(0o755);
        if (type === "file") expect([0o644, 0o755]).toContain(mode);
      }
      const paths = files.map(({ path }) => path);
      expect(paths).toEqual(paths.toSorted());
    });

    test(`is at most ${SIZE_LIMIT} bytes, ${GZIP_LIMIT} with gzip`, () => {
      const { manifest, read } = of(architecture);
      expect(read.files.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(SIZE_LIMIT);
      const [layer = undefined as never, ...others] = manifest.layers;
      expect([layer.mediaType, others]).toEqual(["application/vnd.oci.image.layer.v1.tar+gzip", []]);
      expect(layer.size).toBeLessThanOrEqual(GZIP_LIMIT);
      // As containerd and podman count: the unpacked layer with its headers.
      expect(Bun.gunzipSync(archive.blob(layer).slice()).length).toBeLessThanOrEqual(SIZE_LIMIT);
    });

    test("the bill of materials is of this image, and has NTIA's minimum elements and the licences that are in the image", async () => {
      const { files } = of(architecture).read;
      const { components = [], dependencies, metadata } = await bill(join(out, `pause-ts.${platform.name}.cdx.json`));
      const target = index.manifests.find((descriptor) => descriptor.platform?.architecture === architecture);
      expect(metadata).toMatchObject({
        component: { "bom-ref": target?.digest },
        timestamp: new Date(TIME * 1000).toISOString(),
        authors: [{ name: expect.stringMatching(/./) }],
        tools: {
          components: expect.arrayContaining([
            expect.objectContaining({ name: "npm run image", version: pkg.version }),
          ]),
        },
      });
      expect(Object.fromEntries(components.map(({ name, version }) => [name, version]))).toEqual({
        [pkg.name]: pkg.version,
        bun: pkg.devDependencies.bun,
        libc6: LIBC6.version,
      });
      const named = (name: string) => components.find((component) => component.name === name);
      expect(`sha256:${named(pkg.name)?.hashes?.[0]?.content}`).toBe(
        files.find(({ path }) => path === "pause")?.digest ?? "",
      );
      expect(named("libc6")?.purl).toBe(
        `pkg:deb/debian/libc6@${LIBC6.version.replace("+", "%2B")}?arch=${architecture}&distro=debian-${LIBC6.release}&upstream=glibc`,
      );

      const all = components.flatMap((component) => [component, ...(component.components ?? [])]);
      expect(dependencies).toHaveLength(all.length + 1);
      expect([metadata?.component, ...all].filter((it) => !it?.supplier?.name)).toEqual([]);
      expect(all.filter(({ licenses }) => licenses?.length !== 1)).toEqual([]);
      const texts = all.map((it) => it.externalReferences?.filter(({ type }) => type === "license") ?? []);
      expect(texts.filter(({ length }) => length === 0)).toEqual([]);
      const present = files.filter(
        ({ type, size, path }) => type === "file" && size > 0 && path.startsWith("usr/share/doc/"),
      );
      expect([...new Set(texts.flat().map(({ url }) => url))].sort()).toEqual(
        present.map(({ path }) => `file:///${path}`).sort(),
      );
    });

    test("dpkg's checksums are those of the package's files in the image", () => {
      const { contents } = of(architecture).read;
      const lines = new TextDecoder().decode(contents.get("var/lib/dpkg/status.d/libc6.md5sums")).trimEnd().split("\n");
      const sums = lines.map((line) => line.split("  ") as [string, string]);
      expect(sums.map(([, path]) => path)).toContain("usr/share/doc/libc6/copyright");
      for (const [sum, path] of sums) {
        const content = contents.get(path) ?? new Uint8Array();
        expect([path, createHash("md5").update(content).digest("hex")]).toEqual([path, sum]);
      }
    });

    test("a library that the package lacks is named", async () => {
      const executable = Buffer.from(of(architecture).read.contents.get("pause") ?? []);
      executable.write("libx.so.9", executable.indexOf("libm.so.6\0"));
      const libc = await libc6(platform);
      const line = `/pause needs libx.so.9, which libc6 ${LIBC6.version} does not hold`;
      expect(() => librariesOf(executable, platform, libc)).toThrow(line);
    });
  });
}
