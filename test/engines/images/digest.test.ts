/** A node without a registry: the commands that `npm run image` prints are run there, and the engine starts the image by its digest. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../scripts/command/project.ts";
import { hostPlatform } from "../../../scripts/executable/platforms.ts";
import { image } from "../../support/project.ts";
import { Containerd } from "../containerd.ts";
import { POD } from "../cri-engine.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, type Engine, onNewHost } from "../engine.ts";
import { Podman } from "../podman.ts";
import { asleep } from "../pods/pod.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";

const REFERENCE = "registry.example/myorg/pause-ts:test";
const OPTIONS = { "its tag": [], "its digest": ["--by-digest"] } as const;

/** How an archive names the image. */
type Naming = keyof typeof OPTIONS;

/** The indented lines that `npm run image` printed, by the line above them. */
type Lines = ReadonlyMap<string, readonly string[]>;

/** Finds them in `stdout`. */
function linesIn(stdout: string): Lines {
  const found = new Map<string, string[]>();
  let above = "";
  for (const line of stdout.split("\n")) {
    if (line.startsWith("  ")) found.set(above, [...(found.get(above) ?? []), line.trim()]);
    else above = line;
  }
  return found;
}

/** The lines below the one that contains `word`. */
function below(lines: Lines, word: string): readonly string[] {
  const found = lines.entries().find(([above]) => above.includes(word));
  if (!found) throw new Error(`npm run image said nothing of ${word}`);
  return found[1];
}

/** Builds an archive with each naming in `folder` and returns what was printed. */
async function build(folder: string): Promise<Readonly<Record<Naming, Lines>>> {
  const platform = `linux/${hostPlatform().architecture}`;
  const printed = async (naming: Naming): Promise<Lines> => {
    const archive = join(folder, naming, "pause-ts.oci.tar");
    const options = ["--tag", REFERENCE, "--platform", platform, "--output", archive, ...OPTIONS[naming]];
    const { status, stdout, stderr } = await image(options, { SOURCE_DATE_EPOCH: "1700000000" });
    if (status !== 0) throw new Error(stderr);
    return linesIn(stdout);
  };
  return { "its tag": await printed("its tag"), "its digest": await printed("its digest") };
}

/** Built once, for all generations. */
let folder: string | undefined;
let built: ReturnType<typeof build> | undefined;

afterAll(async () => {
  if (folder) await rm(folder, { recursive: true });
});

/** Runs commands on the engine's host, in the folder in which they were printed. */
async function type({ host, env }: Engine, commands: readonly string[]): Promise<void> {
  await host.output(["sh", "-ec", `cd '${ROOT}'\n${commands.join("\n")}`], env);
}

describeGenerations("Loaded on a node", ["containerd", "ctr", "podman", "dockerd", "docker"], (generation) => {
  let printed: Readonly<Record<Naming, Lines>>;
  beforeAll(async () => {
    folder ??= await mkdtemp(join(tmpdir(), "pause-digest-"));
    built ??= build(folder);
    printed = await built;
  }, 4 * PATIENCE);

  /** The image's name with the digest. */
  const digest = () => below(printed["its tag"], "of containerd, k3s")[0] ?? "";

  for (const naming of Object.keys(OPTIONS) as Naming[]) {
    test(
      `containerd starts a sandbox by the digest from an archive that names ${naming}, and keeps the image`,
      async () => {
        const name = digest();
        expect(name).toMatch(/^registry\.example\/myorg\/pause-ts@sha256:[0-9a-f]{64}$/);
        await using containerd = await onNewHost(generation, (host) => Containerd.start(host, { reference: name }));
        const [load = "", ...others] = below(printed[naming], "containerd");
        await type(containerd, [load]);
        const early = await containerd.runSandbox("early", POD).then(
          () => "started",
          ({ message }: Error) => message,
        );
        expect(early).toMatch(naming === "its digest" ? /^started$/ : /failed to pull image/);

        await type(containerd, others);
        const id = await containerd.runSandbox("loaded", POD);
        const { pid } = await containerd.sandbox(id);
        await asleep(containerd.host, pid);
        const { images } = await containerd.cri.call("ListImages", {});
        expect(images.map(({ pinned }) => pinned)).toEqual([containerd.pins]);
      },
      PATIENCE,
    );

    test(
      `podman starts a pod by the digest from an archive that names ${naming}`,
      async () => {
        const name = digest();
        await using podman = await onNewHost(generation, (host) => Podman.start(host, { reference: name }));
        await type(podman, below(printed[naming], "podman"));
        const pod = await podman.startPod("loaded", { sharedPid: true });
        await asleep(podman.host, pod.pause);
        await pod.remove();
      },
      PATIENCE,
    );

    test(
      `Docker starts a container by the tag and by the image's ID from an archive that names ${naming}`,
      async () => {
        const [name = ""] = below(printed[naming], "that of Docker");
        expect(name).toBe(REFERENCE);
        await using docker: CommandLine = await onNewHost(generation, (host) => Docker.start(host));
        await type(docker, below(printed[naming], "with Docker"));
        const id = await docker.output("image", "inspect", "--format", "{{.Id}}", name);
        for (const known of [name, id]) {
          const said = await docker.output("run", "--rm", "--network", "none", "--pull", "never", known, "-v");
          expect(said).toMatch(/^pause\.ts \d/);
        }
      },
      PATIENCE,
    );
  }
});
