/** The Containerfile gives the same files and configuration as `npm run image`, with every builder. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../../../scripts/command/project.ts";
import { hostPlatform, PLATFORMS } from "../../../scripts/executable/platforms.ts";
import { rfc3339 } from "../../../scripts/image/provenance.ts";
import { ArchiveReader, type Manifest, type ReadImage } from "../../support/image-reader.ts";
import { image } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, onNewHost } from "../engine.ts";
import { MACHINE } from "../generations.ts";
import type { Image } from "../images.ts";
import { Podman } from "../podman.ts";
import { describeEngine } from "../requirements.ts";
import { builderImage } from "./builder.ts";

// For a build, including the copying of a large builder image.
setDefaultTimeout(600_000);

const TIME = 1_700_000_000;
/** Any address. */
const SOURCE = "https://git.example/pause-ts";

/**
 * A docker client that can build with BuildKit: any before 23 can, later ones with the plugin buildx. There may be
 * several clients on PATH; undefined if none can.
 */
const BUILDKIT = (process.env["PATH"] ?? "")
  .split(":")
  .map((folder) => join(folder, "docker"))
  .find((client) => {
    const said = (...args: readonly string[]) => (Bun.which(client) ? Bun.spawnSync([client, ...args]) : undefined);
    const version = said("--version")
      ?.stdout.toString()
      .match(/version (\d+)/)?.[1];
    return version && (Number(version) < 23 || said("buildx", "version")?.exitCode === 0);
  });

/** A program that builds from a Containerfile. */
interface Builder {
  readonly name: string;
  /** Starts the engine whose state it uses. */
  readonly start: typeof Docker.start | typeof Podman.start;
  readonly command: string;
  /** Environment variables besides the engine's. */
  readonly env?: Readonly<Record<string, string>>;
  /** The first words of its command line for a build. */
  readonly build: readonly string[];
  /** True if it builds for other platforms: Docker's classic builder uses the machine's for both stages. */
  readonly otherPlatforms: boolean;
}

/** For podman too. Without the second option it adds a label with its own version. */
const BUILDAH = ["--isolation", "chroot", "--identity-label=false"];
const DOCKER = { start: Docker.start, build: ["build", "--network", "none"] };
const WITH_BUILDKIT = { name: "docker with BuildKit", env: { DOCKER_BUILDKIT: "1" }, otherPlatforms: true };

const BUILDERS: readonly Builder[] = [
  { ...DOCKER, name: "docker", command: "docker", otherPlatforms: false },
  ...(BUILDKIT ? [{ ...DOCKER, ...WITH_BUILDKIT, command: BUILDKIT }] : []),
  { name: "podman", start: Podman.start, command: "podman", build: ["build", ...BUILDAH], otherPlatforms: true },
  { name: "buildah", start: Podman.start, command: "buildah", build: ["bud", ...BUILDAH], otherPlatforms: true },
];

describeEngine("Containerfile", ["dockerd", "docker", "podman", "buildah", "npm"], () => {
  let builder: Image;
  const expected = new Map<string, ReadImage>();

  beforeAll(async () => {
    const folder = temporary("containerfile");
    const path = join(folder, "pause-ts.oci.tar");
    const origin = ["--revision", "abc", "--source", SOURCE];
    const { status, stderr } = await image(["--output", path, ...origin], { SOURCE_DATE_EPOCH: `${TIME}` });
    if (status !== 0) throw new Error(stderr);
    const archive = await ArchiveReader.open(path);
    for (const descriptor of archive.index()[1].manifests) {
      const { architecture = "" } = descriptor.platform ?? {};
      expected.set(architecture, await archive.image(archive.document<Manifest>(descriptor)));
    }
    builder = await builderImage(folder, PLATFORMS);
  }, 600_000);

  for (const { name, start, command, env = {}, build, otherPlatforms } of BUILDERS) {
    for (const { architecture } of PLATFORMS) {
      if (!otherPlatforms && architecture !== hostPlatform().architecture) continue;
      test(`${name}, ${architecture}`, async () => {
        await using engine: CommandLine = await onNewHost<CommandLine>(MACHINE, start);
        const { host } = engine;
        const run = (...args: readonly string[]) => host.output([command, ...args], { ...engine.env, ...env });
        const saved = join(host.folder, "saved.tar");
        const context = join(host.folder, "context");
        const filter = (from: string) => !/\/(node_modules|dist|\.git)$/.test(from);
        await cp(ROOT, context, { recursive: true, filter });
        const from = `docker-archive:${builder.archive}`;
        if (command === "buildah") await run("pull", from);
        else await run("load", "--input", builder.archive);
        await run(
          ...[...build, "--file", join(context, "Containerfile"), "--tag", "localhost/pause:built"],
          ...["--build-arg", `BUILDER=${builder.reference}`, "--build-arg", `SOURCE_DATE_EPOCH=${TIME}`],
          ...["--build-arg", `CREATED=${rfc3339(TIME)}`, "--build-arg", "REVISION=abc"],
          ...["--label", `org.opencontainers.image.source=${SOURCE}`],
          ...(otherPlatforms ? ["--platform", `linux/${architecture}`] : []),
          context,
        );
        if (command === "buildah") await run("push", "localhost/pause:built", `docker-archive:${saved}`);
        else await run("save", "--output", saved, "localhost/pause:built");

        const built = await (await ArchiveReader.open(saved)).dockerImage();
        const wanted = expected.get(architecture);
        const byPath = (read: ReadImage | undefined) => read?.files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
        expect(byPath(built)).toEqual(byPath(wanted) ?? []);
        const { User, Env, Entrypoint, Cmd, WorkingDir, Labels } = built.config.config;
        expect(Cmd ?? []).toEqual([]);
        expect({ User, Env, Entrypoint, WorkingDir, Labels }).toEqual({ ...(wanted as ReadImage).config.config });
        expect([built.config.architecture, built.config.os]).toEqual([architecture, "linux"]);
      });
    }
  }
});
