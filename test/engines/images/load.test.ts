/** The archive in every engine: it has its name and the right size, and passes the smoke test. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../scripts/command/project.ts";
import { hostPlatform, PLATFORMS } from "../../../scripts/executable/platforms.ts";
import { ArchiveReader, type Descriptor, type Manifest } from "../../support/image-reader.ts";
import { image } from "../../support/project.ts";
import { Containerd } from "../containerd.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, onNewHost } from "../engine.ts";
import { busyboxImage, type Image } from "../images.ts";
import { Podman } from "../podman.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";

const REFERENCE = "localhost/myorg/pause-ts:test";
/** Limits in bytes: what engines report, and the layer compressed with zstd. */
const SIZE_LIMIT = 73_000_000;
const ZSTD_LIMIT = 24_000_000;

/** The archives with each compression, and what the tests compare the engines' answers with. */
interface Built {
  readonly folder: string;
  readonly archives: Readonly<Record<"gzip" | "zstd", string>>;
  /** An image with a shell, for the orphan of the smoke test. */
  readonly shell: Image;
  /** The index of the archive with gzip, and the manifest in it for this machine. */
  readonly index: Descriptor;
  readonly manifest: Manifest;
}

async function build(): Promise<Built> {
  const folder = await mkdtemp(join(tmpdir(), "pause-load-"));
  const archives = { gzip: join(folder, "gzip.oci.tar"), zstd: join(folder, "zstd.oci.tar") };
  const made = Object.entries(archives).map(async ([compression, path]) => {
    const args = ["--output", path, "--tag", REFERENCE, "--compression", compression];
    const { status, stderr } = await image(args, { SOURCE_DATE_EPOCH: "1700000000" });
    if (status !== 0) throw new Error(stderr);
  });
  await Promise.all(made);
  const archive = await ArchiveReader.open(archives.gzip);
  const [index, { manifests }] = archive.index();
  const { architecture } = hostPlatform();
  const mine = manifests.find(({ platform }) => platform?.architecture === architecture);
  const manifest = archive.document<Manifest>(mine as Descriptor);
  return { folder, archives, shell: await busyboxImage(folder), index, manifest };
}

/** Built once for all generations. */
let built: Promise<Built> | undefined;

afterAll(async () => {
  if (built) await rm((await built).folder, { recursive: true });
});

describeGenerations(
  "The archive",
  ["dockerd", "docker", "podman", "containerd", "ctr", "skopeo", "buildah"],
  (generation) => {
    let archives: Built["archives"];
    let shell: Image;
    let index: Descriptor;
    let manifest: Manifest;

    beforeAll(async () => {
      built ??= build();
      ({ archives, shell, index, manifest } = await built);
    }, 4 * PATIENCE);

    for (const [name, start] of [
      ["docker", Docker.start],
      ["podman", Podman.start],
    ] as const) {
      test(
        `${name} loads it, and the smoke test passes`,
        async () => {
          await using engine: CommandLine = await onNewHost<CommandLine>(generation, start);
          expect(await engine.load(archives.gzip)).toBe(REFERENCE);
          const [found] = JSON.parse(await engine.output("image", "inspect", REFERENCE)) as [
            { Id: string; Size: number },
          ];
          expect(found.Id.replace(/^sha256:/, "")).toBe(manifest.config.digest.replace("sha256:", ""));
          expect(found.Size).toBeLessThanOrEqual(SIZE_LIMIT);

          await engine.output("load", "--input", shell.archive);
          const smoke = join(ROOT, "scripts", "smoke.sh");
          const { status, stdout, stderr } = await engine.host.run(
            ["sh", smoke, name, REFERENCE, shell.reference],
            engine.env,
          );
          expect(stdout.replaceAll(/^PASS .*\n/gm, "")).toBe("");
          expect(stdout.match(/^PASS /gm)).toHaveLength(5);
          expect(stderr).toBe("");
          expect(status).toBe(0);
          expect(await engine.output("ps", "--all", "--quiet")).toBe("");
        },
        PATIENCE,
      );

      test(
        `the smoke test fails with ${name} for another image`,
        async () => {
          await using engine: CommandLine = await onNewHost<CommandLine>(generation, start);
          await engine.output("load", "--input", shell.archive);
          const smoke = join(ROOT, "scripts", "smoke.sh");
          const wrong = await engine.host.run(["sh", smoke, name, shell.reference, shell.reference], engine.env);
          expect(wrong.stdout).toMatch(/^FAIL -v prints/m);
          expect(wrong.stdout).toMatch(/^FAIL runs read-only/m);
          expect(wrong.stdout).toMatch(/^FAIL reaps an orphan/m);
          expect(wrong.stdout).toMatch(/^FAIL stops within a second/m);
          expect(wrong.status).toBe(1);
          const missing = await engine.host.run(
            ["sh", smoke, name, "localhost/missing:1", shell.reference],
            engine.env,
          );
          expect([missing.status, missing.stdout, missing.stderr]).toEqual([
            2,
            "",
            `error: ${name} has no image localhost/missing:1\n`,
          ]);
        },
        PATIENCE,
      );
    }

    for (const compression of ["gzip", "zstd"] as const) {
      test(
        `containerd imports it with ${compression}, and runs it`,
        async () => {
          await using ctr = await onNewHost(generation, Containerd.start);
          await ctr.output("images", "import", archives[compression]);
          const listed = (await ctr.output("images", "ls", `name==${REFERENCE}`)).split("\n")[1]?.split(/\s+/) ?? [];
          expect(listed[0]).toBe(REFERENCE);
          if (compression === "gzip") expect(listed[2]).toBe(index.digest);
          expect(await ctr.output("run", "--rm", REFERENCE, "version", "/pause", "-v")).toMatch(/^pause\.ts \d/);
          await ctr.output("images", "import", "--all-platforms", archives[compression]);
        },
        PATIENCE,
      );

      test(
        `podman and buildah load it with ${compression}`,
        async () => {
          await using podman = await onNewHost(generation, Podman.start);
          expect(await podman.load(archives[compression])).toBe(REFERENCE);
          expect(await podman.output("run", "--rm", "--network", "none", REFERENCE, "-v")).toMatch(/^pause\.ts \d/);
          await podman.output("pull", `oci-archive:${archives[compression]}`);
          await podman.host.output(["buildah", "pull", `oci-archive:${archives[compression]}`], podman.env);
        },
        PATIENCE,
      );

      test(
        `skopeo inspects and copies it with ${compression}, for one platform and for all`,
        async () => {
          const from = `oci-archive:${archives[compression]}`;
          await using podman = await onNewHost(generation, Podman.start);
          const skopeo = (...args: readonly string[]) => podman.host.output(["skopeo", ...args], podman.env);
          for (const platform of PLATFORMS) {
            const inspected = await skopeo("--override-arch", platform.architecture, "inspect", from);
            expect((JSON.parse(inspected) as { Architecture: string }).Architecture).toBe(platform.architecture);
            const copy = `oci:${join(podman.host.folder, platform.name)}:one`;
            await skopeo("--override-arch", platform.architecture, "copy", from, copy);
          }
          await skopeo("copy", "--all", from, `oci:${join(podman.host.folder, "all")}:all`);
          // skopeo rewrites the index, but not what it lists.
          const copied = await readdir(join(podman.host.folder, "all", "blobs", "sha256"));
          const [, { manifests }] = (await ArchiveReader.open(archives[compression])).index();
          const names = manifests.map(({ digest }) => digest.replace("sha256:", ""));
          expect(copied).toEqual(expect.arrayContaining(names));
        },
        PATIENCE,
      );
    }

    test("the layers are within their limit with zstd", async () => {
      const archive = await ArchiveReader.open(archives.zstd);
      const layers = archive
        .index()[1]
        .manifests.flatMap((descriptor) => archive.document<Manifest>(descriptor).layers);
      const zstd = layers.filter(({ mediaType }) => mediaType === "application/vnd.oci.image.layer.v1.tar+zstd");
      expect(zstd).toHaveLength(PLATFORMS.length);
      for (const layer of zstd) {
        archive.blob(layer);
        expect(layer.size).toBeLessThanOrEqual(ZSTD_LIMIT);
      }
    });

    test(
      "docker says why it does not load zstd, or loads it",
      async () => {
        await using docker = await onNewHost(generation, Docker.start);
        const { status, stderr, stdout } = await docker.run("load", "--input", archives.zstd);
        // 20.10 cannot read zstd; 23 can.
        expect(status === 0 ? stdout : stderr).toMatch(/Loaded image|invalid tar header|archive\/tar/);
      },
      PATIENCE,
    );
  },
);
