/** The image through a registry: published by the release workflow's steps, verified, and pulled and run by every engine. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../../package.json";
import { ROOT } from "../../../scripts/command/project.ts";
import { PLATFORMS } from "../../../scripts/executable/platforms.ts";
import { SBOM_TYPE } from "../../../scripts/image/sbom.ts";
import { until } from "../../../scripts/linux/proc.ts";
import { ArchiveReader, type Descriptor, type Index } from "../../support/image-reader.ts";
import { Containerd } from "../containerd.ts";
import { Docker } from "../docker.ts";
import { type CommandLine, type Engine, onNewHost } from "../engine.ts";
import { type Generation, SID } from "../generations.ts";
import { Host, type Result } from "../host.ts";
import { Podman } from "../podman.ts";
import { asleep } from "../pods/pod.ts";
import { REGISTRY, startRegistry } from "../registry.ts";
import { describeEngine, describeGenerations, PATIENCE } from "../requirements.ts";

setDefaultTimeout(PATIENCE);

/** What GitHub tells a workflow's steps, for the tag of this version. */
const GITHUB = {
  GITHUB_ACTOR: "somebody",
  GITHUB_EVENT_NAME: "push",
  GITHUB_REF: `refs/tags/v${pkg.version}`,
  GITHUB_REF_NAME: `v${pkg.version}`,
  GITHUB_REPOSITORY: "MyOrg/pause-ts",
  GITHUB_REPOSITORY_ID: "1",
  GITHUB_REPOSITORY_OWNER_ID: "2",
  GITHUB_RUN_ATTEMPT: "1",
  GITHUB_RUN_ID: "3",
  GITHUB_SERVER_URL: "https://github.com",
  GITHUB_SHA: "0123456789abcdef0123456789abcdef01234567",
  GITHUB_WORKFLOW_REF: `MyOrg/pause-ts/.github/workflows/release.yml@refs/tags/v${pkg.version}`,
} as const;

const REPOSITORY = `${REGISTRY}/myorg/pause-ts`;
const IMAGE = `${REPOSITORY}:${pkg.version}`;
const PASSWORD = "a password for the tests' keys";
const TOKEN = "a token for the tests' registry";

/** What the release workflow's step called `name` runs. */
async function step(name: string): Promise<string> {
  const text = await Bun.file(join(ROOT, ".github", "workflows", "release.yml")).text();
  const { jobs } = Bun.YAML.parse(text) as { jobs: { image: { steps: { name?: string; run?: string }[] } } };
  const run = jobs.image.steps.find((one) => one.name === name)?.run;
  if (run === undefined) throw new Error(`the release workflow has no step "${name}"`);
  return run;
}

/** The command that runs a step's text in the project's folder, as GitHub does. */
function shell(text: string): string[] {
  return ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", `cd '${ROOT}'\n${text}`];
}

/** Replaces `here`, which must be in the text, by `there`. */
function instead(text: string, here: string | RegExp, there: string): string {
  const changed = text.replace(here, there);
  if (changed === text) throw new Error(`nothing is like ${here} in: ${text}`);
  return changed;
}

/** Tests publishing with the tools of `sid`, and pulling with every generation. */
function publishAndPull(sid: Generation): void {
  let folder = "";
  let archive = "";
  let published = "";
  let index: Descriptor;
  let manifests: readonly Descriptor[];
  /** Where oras and cosign are. */
  let publisher: Host;

  /** The path of one of the test's keys. */
  const key = (name: string, kind: "key" | "pub") => join(folder, `${name}.${kind}`);

  /** The registry's folder. */
  const store = () => join(folder, "registry");

  /** Runs a step's text on the publishing host. */
  const publish = (text: string) =>
    publisher.run(shell(text), { ...GITHUB, IMAGE, REGISTRY, TOKEN, COSIGN_PASSWORD: PASSWORD });

  /** The step that publishes, with the tests' key, registry and archive. */
  const publishing = async (from: string) => {
    const keyed = instead(await step("Publish"), "publish.sh", `publish.sh --plain-http --key ${key("signer", "key")}`);
    return instead(keyed, "dist/pause-ts.oci.tar", from);
  };

  /** Runs the step that verifies, with the public key called `name`. */
  const verify = async (name: string, env = ""): Promise<Result> => {
    const by = `by=(--insecure-ignore-tlog --key ${key(name, "pub")})`;
    return publish(`${env}\n${instead(await step("Verify"), /by=\([^)]*\)/, by)}`);
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-registry-"));
    archive = join(folder, "pause-ts.oci.tar");
    const built = Bun.spawn(shell(`${await step("Build")} --output ${archive}`), {
      env: { ...process.env, ...GITHUB, IMAGE },
      stdout: "ignore",
      stderr: "pipe",
    });
    const [trouble, status] = await Promise.all([built.stderr.text(), built.exited]);
    if (status !== 0) throw new Error(trouble);
    [index, { manifests }] = (await ArchiveReader.open(archive)).index();
    publisher = await Host.start(await sid.root());
    await startRegistry(publisher, store(), { name: GITHUB.GITHUB_ACTOR, password: TOKEN });
    for (const name of ["signer", "stranger"]) {
      const made = ["cosign", "generate-key-pair", "--output-key-prefix", join(folder, name)];
      await publisher.output(made, { COSIGN_PASSWORD: PASSWORD });
    }
    const stranger = await publish(await publishing(archive));
    expect([stranger.status, stranger.stdout]).toEqual([1, ""]);
    expect(stranger.stderr).toContain("basic credential not found");
    for (const text of [instead(await step("Log in"), "login", "login --plain-http"), await publishing(archive)]) {
      const done = await publish(text);
      if (done.status !== 0) throw new Error(done.stderr);
      published = done.stdout;
    }
  }, 8 * PATIENCE);

  afterAll(async () => {
    await publisher?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs oras with the registry. */
  const oras = (command: string, ...args: readonly string[]) =>
    publisher.output(["oras", ...command.split(" "), "--plain-http", ...args]);

  test("the workflow names the image after repository and tag, and refuses another version's tag", async () => {
    const naming = async (name: string) => {
      const env = { ...process.env, ...GITHUB, REGISTRY, GITHUB_REF_NAME: name, GITHUB_ENV: join(folder, "env") };
      const child = Bun.spawn(shell(await step("Name the image")), { env, stdout: "pipe", stderr: "pipe" });
      return { status: await child.exited, stderr: await child.stderr.text() };
    };
    const refusal = `error: the tag is v0.0.0, but package.json says ${pkg.version}\n`;
    expect(await naming("v0.0.0")).toEqual({ status: 1, stderr: refusal });
    expect(await Bun.file(join(folder, "env")).exists()).toBe(false);
    expect(await naming(`v${pkg.version}`)).toEqual({ status: 0, stderr: "" });
    expect(await Bun.file(join(folder, "env")).text()).toBe(`IMAGE=${IMAGE}\n`);
  });

  test("the registry has the archive's index byte for byte, with all platforms", async () => {
    expect(published).toBe(`${IMAGE}@${index.digest}\n`);
    expect(await oras("resolve", IMAGE)).toBe(index.digest);
    const pulled = JSON.parse(await oras("manifest fetch", IMAGE)) as Index;
    expect(pulled.manifests).toEqual([...manifests]);
    for (const { architecture } of PLATFORMS) {
      const mine = manifests.find(({ platform }) => platform?.architecture === architecture);
      expect(await oras("resolve", "--platform", `linux/${architecture}`, IMAGE)).toBe(mine?.digest ?? "");
    }
  });

  test.each(PLATFORMS.map(({ name, architecture }) => [name, architecture] as const))(
    "the bill of materials of %s is found by the image's digest, beside the signature",
    async (name, architecture) => {
      const found = await oras(
        ...(["discover", "--platform", `linux/${architecture}`, "--artifact-type", SBOM_TYPE] as const),
        ...["--format", "go-template={{range .referrers}}{{.digest}} {{end}}", `${REPOSITORY}@${index.digest}`],
      );
      const [digest = "", ...others] = found.trim().split(" ");
      expect(others).toEqual([]);
      const into = join(folder, name);
      await oras("pull", "--output", into, `${REPOSITORY}@${digest}`);
      const document = await Bun.file(join(into, `${pkg.name}.${name}.cdx.json`)).text();
      expect(document).toBe(await Bun.file(join(folder, `${pkg.name}.${name}.cdx.json`)).text());
    },
  );

  test("the signature and the provenance verify with the key; another key or an unsigned image fails", async () => {
    const { status, stdout, stderr } = await verify("signer");
    expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
    const { payload } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { payload: string };
    const statement = JSON.parse(Buffer.from(payload, "base64").toString()) as {
      subject: [{ digest: { sha256: string } }];
      predicate: { buildDefinition: { resolvedDependencies: unknown }; runDetails: { builder: { id: string } } };
    };
    expect(`sha256:${statement.subject[0].digest.sha256}`).toBe(index.digest);
    const { buildDefinition, runDetails } = statement.predicate;
    const { GITHUB_REF, GITHUB_REPOSITORY, GITHUB_SHA, GITHUB_WORKFLOW_REF } = GITHUB;
    expect(runDetails.builder.id).toBe(`https://github.com/${GITHUB_WORKFLOW_REF}`);
    expect(buildDefinition.resolvedDependencies).toEqual([
      { uri: `git+https://github.com/${GITHUB_REPOSITORY}@${GITHUB_REF}`, digest: { gitCommit: GITHUB_SHA } },
    ]);

    const stranger = await verify("stranger");
    expect(stranger.status).not.toBe(0);
    expect(stranger.stderr).toMatch(/no matching (attestations|signatures)/);

    const unsigned = `${REGISTRY}/myorg/unsigned:${pkg.version}`;
    const copied = ["oras", "cp", "--recursive", "--from-oci-layout", "--to-plain-http"];
    await publisher.output([...copied, `${archive}:${pkg.version}`, unsigned]);
    const refused = await verify("signer", `IMAGE=${unsigned}`);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain("no signatures found");
  });

  test("everything that the index lists has its own signature too", async () => {
    for (const { digest } of manifests) {
      const by = ["--insecure-ignore-tlog", "--key", key("signer", "pub")];
      await publisher.output(["cosign", "verify", ...by, `${REPOSITORY}@${digest}`]);
    }
  });

  test("publishing again changes nothing, and a tag never moves to another image", async () => {
    const again = await publish(await publishing(archive));
    expect([again.status, again.stdout]).toEqual([0, `${IMAGE}@${index.digest}\n`]);

    const [one] = manifests;
    const other = `${join(folder, "other")}:${pkg.version}`;
    const taken = `${archive}@${one?.digest}`;
    await publisher.output(["oras", "cp", "--from-oci-layout", taken, "--to-oci-layout", other]);
    const refused = await publish(await publishing(join(folder, "other")));
    const line = `error: ${IMAGE} already exists and is another image: ${index.digest}\n`;
    expect([refused.status, refused.stdout, refused.stderr]).toEqual([1, "", line]);
    expect(await oras("resolve", IMAGE)).toBe(index.digest);
  });

  test("what cannot be signed gets no tag", async () => {
    // A file where the registry would put the folder of the signature's tag.
    const tags = join(store(), "docker", "registry", "v2", "repositories", "myorg", "refused", "_manifests", "tags");
    await mkdir(tags, { recursive: true });
    await Bun.write(join(tags, index.digest.replace(":", "-")), "");
    const refused = `${REGISTRY}/myorg/refused`;
    const failed = await publish(instead(await publishing(archive), "$IMAGE", `${refused}:${pkg.version}`));
    expect([failed.status, failed.stdout]).toEqual([1, ""]);
    expect(await oras("resolve", `${refused}@${index.digest}`)).toBe(index.digest);
    const tagged = await publisher.run(["oras", "resolve", "--plain-http", `${refused}:${pkg.version}`]);
    expect([tagged.status, tagged.stderr]).toEqual([1, expect.stringContaining("not found")]);
  });

  test.each([
    ["", /^error: called with 0 arguments: publish\.sh .*IMAGE ARCHIVE$/],
    ["--nope IMAGE ARCHIVE", /^error: unknown option --nope$/],
    ["IMAGE ARCHIVE more", /^error: called with 3 arguments: /],
    ["--key", /^error: --key takes a file$/],
    ["--key /nonexistent IMAGE ARCHIVE", /^error: there is no key \/nonexistent$/],
    ["--key package.json IMAGE ARCHIVE", /^error: package\.json is not a private key of cosign's, or COSIGN_PASSWORD /],
    ["myorg/pause-ts:1 ARCHIVE", /^error: "myorg\/pause-ts:1" is not a registry, a repository and a tag, like /],
    [`${REPOSITORY} ARCHIVE`, /^error: ".*" is not a registry, /],
    [`${REGISTRY}/My/pause:1 ARCHIVE`, /^error: ".*" is not a registry, /],
    [`IMAGE@sha256:${"0".repeat(64)} ARCHIVE`, /^error: ".*" is not a registry, /],
    ["IMAGE /nonexistent", /^error: there is no archive \/nonexistent$/],
    [`${REPOSITORY}:other ARCHIVE`, /^error: .* has no image with the tag other: npm run image -- --tag .*:other$/],
    ["IMAGE package.json", /^error: package\.json has no image with the tag /],
    ["--provenance IMAGE ARCHIVE", /^error: --provenance takes a GitHub workflow: GITHUB_RUN_ID is not set$/],
  ])("publish.sh %s is refused in one line", async (args, line) => {
    const text = `scripts/publish.sh ${args.replace("IMAGE", IMAGE).replace("ARCHIVE", archive)}`;
    const { status, stdout, stderr } = await publish(`GITHUB_RUN_ID=\n${text}`);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr.split("\n")).toEqual([expect.stringMatching(line), ""]);
  });

  describeGenerations(
    "Pulled",
    ["dockerd", "docker", "podman", "containerd", "ctr", "docker-registry"],
    (generation) => {
      /** The names that the image is pulled by: its tag, then its digest. */
      const names = () => [IMAGE, `${REPOSITORY}@${index.digest}`];

      /** Starts the engine on a host that runs the registry too. */
      const start = <E extends Engine>(engine: (host: Host) => Promise<E>): Promise<E> =>
        onNewHost(generation, async (host) => {
          await startRegistry(host, store());
          return engine(host);
        });

      test.each([
        ["docker", Docker.start, []],
        ["podman", Podman.start, ["--tls-verify=false"]],
      ] as const)("%s pulls it by tag and by digest, and runs it", async (_, engine, options) => {
        await using client: CommandLine = await start<CommandLine>((host) => engine(host));
        for (const name of names()) {
          await client.output("pull", "--quiet", ...options, name);
          expect(await client.output("run", "--rm", "--network", "none", name, "-v")).toMatch(/^pause\.ts \d/);
          const id = await client.output("run", "--detach", "--network", "none", name);
          await asleep(client.host, Number(await client.inspect(id, ".State.Pid")));
          await client.output("kill", "--signal", "TERM", id);
          await client.output("wait", id);
          expect(await client.inspect(id, ".State.ExitCode")).toBe(0);
          await client.output("rm", id);
          await client.output("rmi", name);
          expect(await client.output("images", "--quiet")).toBe("");
        }
      });

      test("containerd pulls it by tag and by digest, and its pods run it", async () => {
        for (const name of names()) {
          await using containerd = await start((host) => Containerd.start(host, { reference: name }));
          const pod = await containerd.startPod("pulled", { sharedPid: true });
          await asleep(containerd.host, pod.pause);
          await containerd.host.kill(pod.pause, "TERM");
          await until("it has ended on SIGTERM", async () => !(await pod.running()));
          expect(await pod.exitStatus()).toBe(0);
          await pod.remove();
          const listed = await containerd.output("images", "ls", `name==${name}`);
          expect(listed).toContain(index.digest);
          expect(await containerd.output("run", "--rm", name, "version", "/pause", "-v")).toMatch(/^pause\.ts \d/);
        }
      });
    },
  );
}

// Debian 13 has oras 1.2, which does not find the index, and cosign 2.
if (SID) {
  const sid = SID;
  describeEngine("Through a registry", ["debootstrap", "docker-registry", "node", "npm"], () => publishAndPull(sid));
}
