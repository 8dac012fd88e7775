/** The archive in every engine: it has its name and the right size, and passes the smoke test. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../../scripts/command/project.ts";
import { hostPlatform, PLATFORMS } from "../../../scripts/executable/platforms.ts";
import { COMPRESSIONS } from "../../../scripts/image/layer.ts";
import { ArchiveReader, type Descriptor, type Index, type Manifest } from "../../support/image-reader.ts";
import { image } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { Containerd } from "../containerd.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, onNewHost } from "../engine.ts";
import { busyboxImage, type Image } from "../images.ts";
import { Podman } from "../podman.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";

setDefaultTimeout(PATIENCE);

const REFERENCE = "localhost/myorg/pause-ts:test";
/** Limits in bytes: what engines report, and the layer compressed with zstd. */
const SIZE_LIMIT = 73_000_000;
const ZSTD_LIMIT = 24_000_000;

const folder = temporary("load");
const ARCHIVES = { gzip: join(folder, "gzip.oci.tar"), zstd: join(folder, "zstd.oci.tar") } as const;

/** Builds both archives and an image with a shell, for the orphan of the smoke test. */
async function build(): Promise<Image> {
  for (const [compression, path] of Object.entries(ARCHIVES)) {
    const options = ["--output", path, "--tag", REFERENCE, "--compression", compression];
    const { status, stderr } = await image(options, { SOURCE_DATE_EPOCH: "1700000000" });
    if (status !== 0) throw new Error(stderr);
  }
  return busyboxImage(folder);
}

/** Built once for all generations. */
let built: Promise<Image> | undefined;

describeGenerations(
  "The archive",
  ["dockerd", "docker", "podman", "containerd", "ctr", "skopeo", "buildah"],
  (generation) => {
    let shell: Image;
    let index: Descriptor;
    let mine: Manifest;
    beforeAll(async () => {
      built ??= build();
      shell = await built;
      const archive = await ArchiveReader.open(ARCHIVES.gzip);
      const [descriptor, { manifests }] = archive.index();
      index = descriptor;
      mine = archive.document<Manifest>(manifests[PLATFORMS.indexOf(hostPlatform())] as Descriptor);
    }, 4 * PATIENCE);

    test.each([
      ["docker", Docker.start],
      ["podman", Podman.start],
    ] as const)("%s loads it, and the smoke test passes, and fails for another image", async (name, start) => {
      await using engine: CommandLine = await onNewHost<CommandLine>(generation, start);
      expect(await engine.load(ARCHIVES.gzip)).toBe(REFERENCE);
      const [found] = JSON.parse(await engine.output("image", "inspect", REFERENCE)) as [{ Id: string; Size: number }];
      expect(found.Id.replace(/^(sha256:)?/, "sha256:")).toBe(mine.config.digest);
      expect(found.Size).toBeLessThanOrEqual(SIZE_LIMIT);

      await engine.output("load", "--input", shell.archive);
      const smoke = (reference: string) =>
        engine.host.run(["sh", join(ROOT, "scripts", "smoke.sh"), name, reference, shell.reference], engine.env);
      const passed = await smoke(REFERENCE);
      expect(passed).toEqual({ status: 0, stdout: expect.stringMatching(/^(PASS .*\n){5}$/), stderr: "" });
      expect(await engine.output("ps", "--all", "--quiet")).toBe("");
      const failed = await smoke(shell.reference);
      expect(failed.status).toBe(1);
      const lines = ["-v prints", "runs read-only", "reaps an orphan", "stops within a second"];
      for (const line of lines) expect(failed.stdout).toMatch(new RegExp(`^FAIL ${line}`, "m"));
      const stderr = `error: ${name} has no image localhost/missing:1\n`;
      expect(await smoke("localhost/missing:1")).toEqual({ status: 2, stdout: "", stderr });
    });

    test.each([...COMPRESSIONS])("containerd imports it with %s, and runs it", async (compression) => {
      await using ctr = await onNewHost(generation, Containerd.start);
      await ctr.output("images", "import", ARCHIVES[compression]);
      const listed = (await ctr.output("images", "ls", `name==${REFERENCE}`)).split("\n")[1]?.split(/\s+/) ?? [];
      expect(listed[0]).toBe(REFERENCE);
      if (compression === "gzip") expect(listed[2]).toBe(index.digest);
      expect(await ctr.output("run", "--rm", REFERENCE, "version", "/pause", "-v")).toMatch(/^pause\.ts \d/);
      await ctr.output("images", "import", "--all-platforms", ARCHIVES[compression]);
    });

    test.each([...COMPRESSIONS])("podman, buildah and skopeo read it with %s", async (compression) => {
      const from = `oci-archive:${ARCHIVES[compression]}`;
      await using podman = await onNewHost(generation, Podman.start);
      expect(await podman.load(ARCHIVES[compression])).toBe(REFERENCE);
      expect(await podman.output("run", "--rm", "--network", "none", REFERENCE, "-v")).toMatch(/^pause\.ts \d/);
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
      const digests = (index: string) => (JSON.parse(index) as Index).manifests.map(({ digest }) => digest);
      expect(digests(copied)).toEqual(digests(original));
      if (compression === "gzip") expect(copied).toBe(original);
    });

    test("the layers are within their limit with zstd, and docker loads them or says why not", async () => {
      const archive = await ArchiveReader.open(ARCHIVES.zstd);
      for (const descriptor of archive.index()[1].manifests) {
        const [layer] = archive.document<Manifest>(descriptor).layers;
        expect(layer?.mediaType).toBe("application/vnd.oci.image.layer.v1.tar+zstd");
        expect(layer?.size).toBeLessThanOrEqual(ZSTD_LIMIT);
      }
      await using docker = await onNewHost(generation, Docker.start);
      const { status, stderr, stdout } = await docker.run("load", "--input", ARCHIVES.zstd);
      // 20.10 cannot read zstd; 23 can.
      expect(status === 0 ? stdout : stderr).toMatch(/Loaded image|invalid tar header|archive\/tar/);
    });
  },
);
