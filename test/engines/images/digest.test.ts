/** A node without a registry: the commands that `npm run image` prints are run there, and the engine starts the image by the name that it prints. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../../scripts/command/project.ts";
import { hostPlatform } from "../../../scripts/executable/platforms.ts";
import { image } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { Containerd } from "../containerd.ts";
import { POD } from "../cri-engine.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, type Engine, onNewHost } from "../engine.ts";
import { Podman } from "../podman.ts";
import { asleep } from "../pods/pod.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";

setDefaultTimeout(PATIENCE);

const REFERENCE = "registry.example/myorg/pause-ts:test";
const OPTIONS = { "its tag": [], "its digest": ["--by-digest"] } as const;

/** The names that an archive can give the image. */
type Naming = keyof typeof OPTIONS;
const NAMINGS = Object.keys(OPTIONS) as Naming[];

const folder = temporary("digest");

/** Builds the archive with a naming and returns what was printed. */
async function build(naming: Naming): Promise<string> {
  const platform = ["--platform", hostPlatform().id, "--tag", REFERENCE, ...OPTIONS[naming]];
  const options = ["--output", join(folder, naming, "pause-ts.oci.tar"), ...platform];
  const { status, stdout, stderr } = await image(options, { SOURCE_DATE_EPOCH: "1700000000" });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** Built once, for all generations. */
let built: Promise<string[]> | undefined;

/** Runs commands on the engine's host, in the folder in which they were printed. */
async function type({ host, env }: Engine, commands: readonly string[]): Promise<void> {
  await host.output(["sh", "-ec", `cd '${ROOT}'\n${commands.join("\n")}`], env);
}

describeGenerations("Loaded on a node", ["containerd", "ctr", "podman", "dockerd", "docker"], (generation) => {
  const printed = new Map<Naming, string>();
  beforeAll(async () => {
    built ??= Promise.all(NAMINGS.map(build));
    for (const [index, text] of (await built).entries()) printed.set(NAMINGS[index] as Naming, text);
  }, 4 * PATIENCE);

  /** The indented lines below the first one that contains `word`. */
  const below = (naming: Naming, word: string): readonly string[] => {
    const lines = printed.get(naming)?.split("\n") ?? [];
    const from = lines.findIndex((line) => !line.startsWith("  ") && line.includes(word)) + 1;
    const count = lines.slice(from).findIndex((line) => !line.startsWith("  "));
    return lines.slice(from, from + count).map((line) => line.trim());
  };

  /** The image's name with the digest. */
  const digest = () => below("its tag", "The setting of containerd")[0] ?? "";

  test.each(NAMINGS)(
    "containerd starts a sandbox by the digest from an archive that names %s, and keeps the image",
    async (naming) => {
      const name = digest();
      expect(name).toMatch(/^registry\.example\/myorg\/pause-ts@sha256:[0-9a-f]{64}$/);
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
    },
  );

  test.each(NAMINGS)("podman starts a pod by the digest from an archive that names %s", async (naming) => {
    await using podman = await onNewHost(generation, (host) => Podman.start(host, { reference: digest() }));
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
          /^pause\.ts \d/,
        );
    },
  );
});
