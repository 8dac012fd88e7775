/**
 * The archive on a node, with what `npm run image` printed: every engine loads it under its name, and runs it; the
 * smoke test.
 */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../../scripts/command/project.ts";
import { hostPlatform, PLATFORMS } from "../../../scripts/executable/platforms.ts";
import { ArchiveReader, type Descriptor, type Index, type Manifest } from "../../support/image-reader.ts";
import { image } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { Containerd } from "../containerd.ts";
import { POD } from "../cri-engine.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, type Engine, onNewHost } from "../engine.ts";
import { busyboxImage } from "../images.ts";
import { Podman } from "../podman.ts";
import { asleep } from "../pods/pod.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";

setDefaultTimeout(PATIENCE);

const REFERENCE = "registry.example/myorg/pause-ts:test";
const VERSION = /^pause\.ts \d/;
/** The limit of the layer compressed with zstd, in bytes. */
const ZSTD_LIMIT = 24_000_000;

const folder = temporary("load");

/** The archives, by what is special about them, and the options that make them. */
const OPTIONS = { "its tag": [], "its digest": ["--by-digest"], zstd: ["--compression", "zstd"] } as const;
type Kind = keyof typeof OPTIONS;
const NAMINGS: Kind[] = ["its tag", "its digest"];
const COMPRESSED = [
  ["gzip", "its tag"],
  ["zstd", "zstd"],
] as const;
const archive = (kind: Kind) => join(folder, kind, "pause-ts.oci.tar");

/** Builds an archive and returns what was printed. */
async function build(kind: Kind): Promise<string> {
  const options = ["--output", archive(kind), "--tag", REFERENCE, ...OPTIONS[kind]];
  const { status, stdout, stderr } = await image(options, { SOURCE_DATE_EPOCH: "1700000000" });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** The printed lines, by the archive: all are built once, for all generations. */
const printed: Partial<Record<Kind, string>> = {};

/** Runs commands on the engine's host, in the folder in which they were printed. */
async function type({ host, env }: Engine, commands: readonly string[]): Promise<void> {
  await host.output(["sh", "-ec", `cd '${ROOT}'\n${commands.join("\n")}`], env);
}

describeGenerations(
  "The archive",
  ["dockerd", "docker", "podman", "containerd", "ctr", "skopeo", "buildah"],
  (generation) => {
    let index: Descriptor;
    let mine: Manifest;
    /** The image's name with the digest. */
    let name: string;
    beforeAll(async () => {
      for (const kind of Object.keys(OPTIONS) as Kind[]) printed[kind] ??= await build(kind);
      const reader = await ArchiveReader.open(archive("its tag"));
      const [descriptor, { manifests }] = reader.index();
      index = descriptor;
      mine = reader.document<Manifest>(manifests[PLATFORMS.indexOf(hostPlatform())] as Descriptor);
      name = `registry.example/myorg/pause-ts@${index.digest}`;
    }, 8 * PATIENCE);

    /** The indented lines below the first one that contains `word`. */
    const below = (kind: Kind, word: string): readonly string[] => {
      const lines = printed[kind]?.split("\n") ?? [];
      const from = lines.findIndex((line) => !line.startsWith("  ") && line.includes(word)) + 1;
      const count = lines.slice(from).findIndex((line) => !line.startsWith("  "));
      return lines.slice(from, from + count).map((line) => line.trim());
    };

    test.each(NAMINGS)(
      "containerd starts a sandbox by the digest from an archive that names %s, and keeps the image",
      async (naming) => {
        expect(below("its tag", "The setting of containerd")).toEqual([name]);
        await using containerd = await onNewHost(generation, (host) => Containerd.start(host, { reference: name }));
        const [load = "", ...others] = below(naming, "with containerd");
        await type(containerd, [load]);
        const early = await containerd.runSandbox("early", POD).then(
          () => "started",
          ({ message }: Error) => message,
        );
        expect(early).toMatch(naming === "its digest" ? /^started$/ : /failed to pull image/);

        await type(containerd, others);
        const { pid } = await containerd.sandbox(await containerd.runSandbox("loaded", POD));
        await asleep(containerd.host, pid);
        const { images } = await containerd.cri.call("ListImages", {});
        expect(images.map(({ pinned }) => pinned)).toEqual([containerd.pins]);
        await containerd.output("images", "import", "--all-platforms", archive(naming));
      },
    );

    test("containerd imports it with zstd, and runs it", async () => {
      await using containerd = await onNewHost(generation, Containerd.start);
      await containerd.load(archive("zstd"));
      expect(await containerd.output("run", "--rm", REFERENCE, "version", "/pause", "-v")).toMatch(VERSION);
    });

    test.each(NAMINGS)("podman starts a pod by the digest from an archive that names %s", async (naming) => {
      await using podman = await onNewHost(generation, (host) => Podman.start(host, { reference: name }));
      await type(podman, below(naming, "with podman"));
      const pod = await podman.startPod("loaded", { sharedPid: true });
      await asleep(podman.host, pod.pause);
      await pod.remove();
    });

    test.each(NAMINGS)(
      "Docker starts a container by the tag and by the image's ID from an archive that names %s",
      async (naming) => {
        expect(below(naming, "that of Docker")).toEqual([REFERENCE]);
        await using docker: CommandLine = await onNewHost(generation, (host) => Docker.start(host));
        await type(docker, below(naming, "with Docker"));
        const id = await docker.output("image", "inspect", "--format", "{{.Id}}", REFERENCE);
        for (const known of [REFERENCE, id])
          expect(await docker.output("run", "--rm", "--network", "none", "--pull", "never", known, "-v")).toMatch(
            VERSION,
          );
      },
    );

    test.each([
      ["docker", Docker.start],
      ["podman", Podman.start],
    ] as const)("%s loads it, and the smoke test passes, and fails for another image", async (command, start) => {
      await using engine: CommandLine = await onNewHost<CommandLine>(generation, start);
      expect(await engine.load(archive("its tag"))).toBe(REFERENCE);
      const id = await engine.output("image", "inspect", "--format", "{{.Id}}", REFERENCE);
      expect(id.replace(/^(sha256:)?/, "sha256:")).toBe(mine.config.digest);

      const shell = await busyboxImage();
      await engine.load(shell.archive);
      const smoke = (reference: string) =>
        engine.host.run(["sh", join(ROOT, "scripts", "smoke.sh"), command, reference, shell.reference], engine.env);
      const passed = await smoke(REFERENCE);
      expect(passed).toEqual({ status: 0, stdout: expect.stringMatching(/^(PASS .*\n){5}$/), stderr: "" });
      expect(await engine.output("ps", "--all", "--quiet")).toBe("");
      const failed = await smoke(shell.reference);
      expect(failed.status).toBe(1);
      const lines = ["-v prints", "runs read-only", "reaps an orphan", "stops within a second"];
      for (const line of lines) expect(failed.stdout).toMatch(new RegExp(`^FAIL ${line}`, "m"));
      const stderr = `error: ${command} has no image localhost/missing:1\n`;
      expect(await smoke("localhost/missing:1")).toEqual({ status: 2, stdout: "", stderr });
    });

    test.each(COMPRESSED)("podman, buildah and skopeo read it with %s", async (compression, kind) => {
      const from = `oci-archive:${archive(kind)}`;
      await using podman = await onNewHost(generation, Podman.start);
      expect(await podman.load(archive(kind))).toBe(REFERENCE);
      expect(await podman.output("run", "--rm", "--network", "none", REFERENCE, "-v")).toMatch(VERSION);
      await podman.output("pull", from);
      await podman.host.output(["buildah", "pull", from], podman.env);
      const skopeo = (...args: readonly string[]) => podman.host.output(["skopeo", ...args], podman.env);
      for (const { name, architecture } of PLATFORMS) {
        const inspected = await skopeo("--override-arch", architecture, "inspect", from);
        expect((JSON.parse(inspected) as { Architecture: string }).Architecture).toBe(architecture);
        await skopeo("--override-arch", architecture, "copy", from, `oci:${join(podman.host.folder, name)}:one`);
      }
      const all = `oci:${join(podman.host.folder, "all")}:all`;
      // With zstd skopeo 1.18 has to change the index, but not the images in it.
      await skopeo("copy", "--all", ...(compression === "gzip" ? ["--preserve-digests"] : []), from, all);
      const [copied, original] = [await skopeo("inspect", "--raw", all), await skopeo("inspect", "--raw", from)];
      const digests = (text: string) => (JSON.parse(text) as Index).manifests.map(({ digest }) => digest);
      expect(digests(copied)).toEqual(digests(original));
      if (compression === "gzip") expect(copied).toBe(original);
    });

    test("the layers are within their limit with zstd, and docker loads them or says why not", async () => {
      const reader = await ArchiveReader.open(archive("zstd"));
      for (const descriptor of reader.index()[1].manifests) {
        const [layer] = reader.document<Manifest>(descriptor).layers;
        expect(layer?.mediaType).toBe("application/vnd.oci.image.layer.v1.tar+zstd");
        expect(layer?.size).toBeLessThanOrEqual(ZSTD_LIMIT);
      }
      await using docker = await onNewHost(generation, Docker.start);
      const { status, stderr, stdout } = await docker.run("load", "--input", archive("zstd"));
      // 20.10 cannot read zstd; 23 can.
      expect(status === 0 ? stdout : stderr).toMatch(/Loaded image|invalid tar header|archive\/tar/);
    });
  },
);
