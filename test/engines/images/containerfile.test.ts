/** The Containerfile gives the same files and configuration as `npm run image`, with every builder. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmod, cp, mkdir, readdir, realpath, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import pkg from "../../../package.json";
import { CACHE } from "../../../scripts/command/kept.ts";
import { ROOT } from "../../../scripts/command/project.ts";
import { output } from "../../../scripts/command/run.ts";
import { hostPlatform, PLATFORMS, type Platform } from "../../../scripts/executable/platforms.ts";
import { rfc3339 } from "../../../scripts/image/provenance.ts";
import { ArchiveReader, type Manifest, type ReadImage } from "../../support/image-reader.ts";
import { image, POOL } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, onNewHost } from "../engine.ts";
import { MACHINE } from "../generations.ts";
import { busyboxRoot, type Image, imageOf } from "../images.ts";
import { Podman } from "../podman.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";

// For a build, including the copying of a large builder image.
setDefaultTimeout(600_000);

const TIME = 1_700_000_000;
/** Any address. */
const SOURCE = "https://git.example/pause-ts";

/**
 * A builder for the Containerfile that needs no network: this machine's Node and npm, npm's cache with the packages of
 * package-lock.json and the runtimes for all platforms, and a Debian mirror with the pinned libc6.
 */
async function builderImage(): Promise<Image> {
  const root = await busyboxRoot();
  const node = await realpath(Bun.which("node") ?? "");
  const npm = dirname(dirname(await realpath(Bun.which("npm") ?? "")));
  await cp(node, join(root, "bin", "node"));
  await cp(npm, join(root, "lib", "node_modules", "npm"), { recursive: true });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(root, "bin", "npm"));
  await mkdir(join(root, "usr"));
  await symlink("../bin", join(root, "usr", "bin"));
  for (const executable of [node, process.execPath]) {
    for (const [, library = ""] of (await output(["ldd", executable])).matchAll(/(\/\S+) \(0x/g)) {
      await cp(await realpath(library), join(root, library));
    }
  }
  const cache = join(root, "npm-cache");
  const project = temporary("project");
  for (const name of ["package.json", "package-lock.json"]) await cp(join(ROOT, name), join(project, name));
  await output(["npm", "ci", "--ignore-scripts", "--cache", cache, "--prefer-offline"], { cwd: project });
  for (const { bunPackage } of PLATFORMS) {
    await output(["npm", "pack", `${bunPackage}@${pkg.devDependencies.bun}`, "--dry-run", "--cache", cache], {
      cwd: project,
    });
  }
  const mirror = join(root, "debian", POOL);
  for (const name of (await readdir(CACHE)).filter((file) => file.endsWith(".deb")))
    await cp(join(CACHE, name), join(mirror, name), { recursive: true });
  await chmod(join(root, "tmp"), 0o1777);
  const registry = (await output(["npm", "config", "get", "registry"])).trim();
  const npmSettings = ["cache=/npm-cache", "offline=true", `registry=${registry}`].map((one) => `npm_config_${one}`);
  const Env = ["PATH=/bin", "HOME=/root", "DEBIAN_MIRROR=file:///debian", ...npmSettings];
  return imageOf(root, "localhost/builder:test", { Env });
}

/** A program that builds from a Containerfile. */
interface Builder {
  readonly name: string;
  readonly command: string;
  /** Environment variables besides the engine's. */
  readonly env?: Readonly<Record<string, string>>;
  /** The first words of its command line for a build. */
  readonly build: readonly string[];
  /** The only platforms that it builds for. */
  readonly platforms?: readonly Platform[];
}

const DOCKER = ["build", "--network", "none"];
/** For podman too. Without the second option it adds a label with its own version. */
const BUILDAH = ["--isolation", "chroot", "--identity-label=false"];

/** The builders, by the engine whose state they share. */
const BUILDERS: readonly {
  readonly start: typeof Docker.start | typeof Podman.start;
  readonly builders: readonly Builder[];
}[] = [
  {
    start: Docker.start,
    builders: [
      // Docker's classic builder uses the machine's platform for both stages.
      { name: "docker", command: "docker", build: DOCKER, platforms: [hostPlatform()] },
      // Debian 12's client: one of 23 or later needs a plugin for it.
      { name: "docker with BuildKit", command: "/usr/bin/docker", build: DOCKER, env: { DOCKER_BUILDKIT: "1" } },
    ],
  },
  {
    start: Podman.start,
    builders: [
      { name: "podman", command: "podman", build: ["build", ...BUILDAH] },
      { name: "buildah", command: "buildah", build: ["bud", ...BUILDAH] },
    ],
  },
];

describeEngine("Containerfile", ["dockerd", "docker", "podman", "buildah", "npm"], () => {
  let builder: Image;
  const context = join(temporary("context"), "pause-ts");
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
    builder = await builderImage();
    const filter = (from: string) => !/\/(node_modules|dist|\.git)$/.test(from);
    await cp(ROOT, context, { recursive: true, filter });
  }, 600_000);

  for (const { start, builders } of BUILDERS) {
    describe(builders.map(({ name }) => name).join(", "), () => {
      let engine: CommandLine;
      beforeAll(async () => {
        engine = await onNewHost<CommandLine>(MACHINE, start);
        await engine.load(builder.archive);
      }, 600_000);
      afterAll(() => engine[Symbol.asyncDispose](), PATIENCE);

      for (const { name, command, env = {}, build, platforms = PLATFORMS } of builders) {
        test.each(platforms.map(({ architecture }) => architecture))(`${name}, %s`, async (architecture) => {
          const { host } = engine;
          const run = (...args: readonly string[]) => host.output([command, ...args], { ...engine.env, ...env });
          await run(
            ...[...build, "--file", join(context, "Containerfile"), "--tag", "localhost/pause:built"],
            ...["--build-arg", `BUILDER=${builder.reference}`, "--build-arg", `SOURCE_DATE_EPOCH=${TIME}`],
            ...["--build-arg", `CREATED=${rfc3339(TIME)}`, "--build-arg", "REVISION=abc"],
            ...["--label", `org.opencontainers.image.source=${SOURCE}`],
            ...(platforms === PLATFORMS ? ["--platform", `linux/${architecture}`] : []),
            context,
          );
          const saved = join(host.folder, `${name}-${architecture}.tar`);
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
    });
  }
});
