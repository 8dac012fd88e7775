/** The Containerfile: with every builder the same files and configuration as `npm run image`. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostPlatform, PLATFORMS } from "../../../scripts/platforms.ts";
import { rfc3339 } from "../../../scripts/provenance.ts";
import { ArchiveReader, type Manifest, type ReadImage } from "../../image-reader.ts";
import { image } from "../../project.ts";
import { buildKitClient, type Engine, output, startDocker, startPodman } from "../image-engines.ts";
import { describeEngine } from "../requirements.ts";
import { builderImage, type HelperImage } from "./helpers.ts";

const ROOT = join(import.meta.dir, "..", "..", "..");
/** A build, with the copying of a large builder image. */
const PATIENCE = 600_000;
const TIME = 1_700_000_000;

const BUILDKIT = buildKitClient();

/** Also for podman. Without the second option it adds a label with its own version. */
const BUILDAH = ["--isolation", "chroot", "--identity-label=false"];

const BUILDERS: readonly (readonly [string, () => Promise<Engine>, readonly string[]])[] = [
  ["docker", () => startDocker(), ["build", "--network", "none"]],
  ...(BUILDKIT ? [["docker with BuildKit", () => startDocker(BUILDKIT), ["build", "--network", "none"]] as const] : []),
  ["podman", () => startPodman("podman"), ["build", ...BUILDAH]],
  ["buildah", () => startPodman("buildah"), ["bud", ...BUILDAH]],
];

describeEngine("Containerfile", ["dockerd", "docker", "podman", "buildah", "npm"], () => {
  let folder = "";
  let builder: HelperImage;
  const expected = new Map<string, ReadImage>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-containerfile-"));
    const path = join(folder, "pause-ts.oci.tar");
    const { status, stderr } = await image(["--output", path, "--revision", "abc"], { SOURCE_DATE_EPOCH: `${TIME}` });
    if (status !== 0) throw new Error(stderr);
    const archive = await ArchiveReader.open(path);
    for (const descriptor of archive.index()[1].manifests) {
      const { architecture = "" } = descriptor.platform ?? {};
      if (architecture === "unknown") continue;
      expected.set(architecture, await archive.image(archive.document<Manifest>(descriptor)));
    }
    builder = await builderImage(folder, PLATFORMS);
  }, PATIENCE);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  for (const [name, start, words] of BUILDERS) {
    for (const { architecture } of PLATFORMS) {
      // Docker's builder before BuildKit takes the machine's platform for both stages.
      if (name === "docker" && architecture !== hostPlatform().architecture) continue;
      test(
        `${name}, ${architecture}`,
        async () => {
          await using engine = await start();
          const saved = join(engine.host.folder, "saved.tar");
          const context = join(engine.host.folder, "context");
          await cp(ROOT, context, {
            recursive: true,
            filter: (from) => !/\/(node_modules|dist|\.git)$/.test(from),
          });
          const from = `docker-archive:${builder.archive}`;
          if (engine.command === "buildah") await output(engine, "pull", from);
          else await output(engine, "load", "--input", builder.archive);
          await output(
            engine,
            ...[...words, "--file", join(context, "Containerfile"), "--tag", "localhost/pause:built"],
            ...["--build-arg", `BUILDER=${builder.reference}`, "--build-arg", `SOURCE_DATE_EPOCH=${TIME}`],
            ...["--build-arg", `CREATED=${rfc3339(TIME)}`, "--build-arg", "REVISION=abc"],
            ...(name === "docker" ? [] : ["--platform", `linux/${architecture}`]),
            context,
          );
          if (engine.command === "buildah")
            await output(engine, "push", "localhost/pause:built", `docker-archive:${saved}`);
          else await output(engine, "save", "--output", saved, "localhost/pause:built");

          const built = await (await ArchiveReader.open(saved)).dockerImage();
          const wanted = expected.get(architecture);
          const byPath = (read: ReadImage | undefined) => read?.files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
          expect(byPath(built)).toEqual(byPath(wanted) ?? []);
          const { User, Env, Entrypoint, Cmd, WorkingDir, Labels } = built.config.config;
          expect(Cmd ?? []).toEqual([]);
          expect({ User, Env, Entrypoint, WorkingDir, Labels }).toEqual({ ...(wanted as ReadImage).config.config });
          expect([built.config.architecture, built.config.os]).toEqual([architecture, "linux"]);
        },
        PATIENCE,
      );
    }
  }
});
