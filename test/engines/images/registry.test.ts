/**
 * The image through a registry: published by the release workflow's steps, verified, mirrored, and pulled and run by
 * every engine.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../../package.json";
import { ROOT } from "../../../scripts/command/project.ts";
import { output, type Ran, run } from "../../../scripts/command/run.ts";
import { PLATFORMS } from "../../../scripts/executable/platforms.ts";
import { until } from "../../../scripts/linux/proc.ts";
import { ArchiveReader, type Descriptor, type Index } from "../../support/image-reader.ts";
import { temporary } from "../../support/temporary.ts";
import { Containerd } from "../containerd.ts";
import { Docker } from "../docker.ts";
import { type Engine, onNewHost } from "../engine.ts";
import { GENERATIONS, type Generation, MACHINE, SID } from "../generations.ts";
import { Host } from "../host.ts";
import { Podman } from "../podman.ts";
import { asleep } from "../pods/pod.ts";
import { REGISTRY, startRegistry } from "../registry.ts";
import { describeEngine, describeGenerations, PATIENCE } from "../requirements.ts";

setDefaultTimeout(PATIENCE);

/** The variables that GitHub gives a workflow's steps, for the tag of this version. */
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
const UNSIGNED = `${REGISTRY}/myorg/pause-ts/unsigned:${pkg.version}`;
const PASSWORD = "a password for the tests' keys";
const TOKEN = "a token for the tests' registry";

/** Options of oras that find the bills of materials alone. */
const BILLS = ["--artifact-type", "application/vnd.cyclonedx+json"];

/** The text that the release workflow's step called `name` runs. */
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
  const folder = temporary("registry");
  const archive = join(folder, "pause-ts.oci.tar");
  /** The registry's folder. */
  const store = join(folder, "registry");
  let published = "";
  let index: Descriptor;
  let manifests: readonly Descriptor[];
  /** The host that has oras and cosign. */
  let publisher: Host;

  /** The path of one of the test's keys. */
  const key = (name: string, kind: "key" | "pub") => join(folder, `${name}.${kind}`);

  /** Runs a step's text on the publishing host. */
  const publish = (text: string) =>
    publisher.run(shell(text), { ...GITHUB, IMAGE, REGISTRY, TOKEN, COSIGN_PASSWORD: PASSWORD });

  /** The step that publishes, with the tests' key, registry and archive. */
  const publishing = async () => {
    const keyed = instead(await step("Publish"), "publish.sh", `publish.sh --plain-http --key ${key("signer", "key")}`);
    return instead(keyed, "dist/pause-ts.oci.tar", archive);
  };

  /** The options with which cosign verifies what the key called `name` signed. */
  const by = (name: string) => ["--insecure-ignore-tlog", "--key", key(name, "pub")];

  /** Runs the step that verifies, with the public key called `name`. */
  const verify = async (name: string, env = ""): Promise<Ran> =>
    publish(`${env}\n${instead(await step("Verify"), /by=\([^)]*\)/, `by=(${by(name).join(" ")})`)}`);

  beforeAll(async () => {
    await output(shell(`${await step("Build")} --output ${archive}`), { env: { ...GITHUB, IMAGE } });
    [index, { manifests }] = (await ArchiveReader.open(archive)).index();
    publisher = await Host.start(await sid.root());
    await startRegistry(publisher, store, { name: GITHUB.GITHUB_ACTOR, password: TOKEN });
    for (const name of ["signer", "stranger"]) {
      const made = ["cosign", "generate-key-pair", "--output-key-prefix", join(folder, name)];
      await publisher.output(made, { COSIGN_PASSWORD: PASSWORD });
    }
    const stranger = await publish(await publishing());
    expect([stranger.status, stranger.stdout]).toEqual([1, ""]);
    expect(stranger.stderr).toContain("basic credential not found");
    for (const text of [instead(await step("Log in"), "login", "login --plain-http"), await publishing()]) {
      const done = await publish(text);
      if (done.status !== 0) throw new Error(done.stderr);
      published = done.stdout;
    }
    const push = ["oras", "cp", "--from-oci-layout", "--to-plain-http"];
    await publisher.output([...push, `${archive}:${pkg.version}`, UNSIGNED]);
  }, 8 * PATIENCE);

  afterAll(() => publisher?.[Symbol.asyncDispose]());

  /** Copies what is called `from` in the registry with the oras of `host`. */
  const copy = (host: Host, from: string, to: string) =>
    host.output(["oras", "cp", "--recursive", "--from-plain-http", "--to-plain-http", from, to]);

  /** Runs oras with the registry. */
  const oras = (command: string, ...args: readonly string[]) =>
    publisher.output(["oras", ...command.split(" "), "--plain-http", ...args]);

  test("the workflow names the image after repository and tag, and refuses another version's tag", async () => {
    const naming = async (name: string) => {
      const env = { ...GITHUB, REGISTRY, GITHUB_REF_NAME: name, GITHUB_ENV: join(folder, "env") };
      return run(shell(await step("Name the image")), { env });
    };
    const refusal = `error: the tag is v0.0.0, but package.json says ${pkg.version}\n`;
    expect(await naming("v0.0.0")).toEqual({ status: 1, stdout: "", stderr: refusal });
    expect(await Bun.file(join(folder, "env")).exists()).toBe(false);
    expect(await naming(`v${pkg.version}`)).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(await Bun.file(join(folder, "env")).text()).toBe(`IMAGE=${IMAGE}\n`);
  });

  test("the registry has the archive's index byte for byte, with all platforms", async () => {
    expect(published).toBe(`${IMAGE}@${index.digest}\n`);
    expect(await oras("resolve", IMAGE)).toBe(index.digest);
    const pulled = JSON.parse(await oras("manifest fetch", IMAGE)) as Index;
    expect(pulled.manifests).toEqual([...manifests]);
    for (const [number, { id }] of PLATFORMS.entries())
      expect(await oras("resolve", "--platform", id, IMAGE)).toBe(manifests[number]?.digest ?? "");
  });

  /** The digests of what is attached to the image called `name` for a platform. */
  const attached = async (name: string, platform: string, ...options: readonly string[]): Promise<string[]> => {
    const format = ["--format", "go-template={{range .referrers}}{{.digest}} {{end}}"];
    const found = await oras("discover", "--platform", platform, ...options, ...format, name);
    return found.split(" ").filter(Boolean).sort();
  };

  test.each(PLATFORMS.map(({ name, id }) => [name, id] as const))(
    "the bill of materials of %s is found by tag and by digest, and is signed",
    async (name, platform) => {
      const [bill = "", ...others] = await attached(IMAGE, platform, ...BILLS);
      expect(others).toEqual([]);
      expect(await attached(`${REPOSITORY}@${index.digest}`, platform, ...BILLS)).toEqual([bill]);
      const file = `${pkg.name}.${name}.cdx.json`;
      await oras("pull", "--output", join(folder, name), `${REPOSITORY}@${bill}`);
      expect(await Bun.file(join(folder, name, file)).text()).toBe(await Bun.file(join(folder, file)).text());
      await publisher.output(["cosign", "verify", ...by("signer"), `${REPOSITORY}@${bill}`]);
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

    const refused = await verify("signer", `IMAGE=${UNSIGNED}`);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain("no signatures found");
  });

  test("publishing again changes no digest, and a tag never moves to another image", async () => {
    const bills = () => Promise.all(PLATFORMS.map(({ id }) => attached(IMAGE, id, ...BILLS)));
    const before = await bills();
    const again = await publish(await publishing());
    expect([again.status, again.stdout]).toEqual([0, `${IMAGE}@${index.digest}\n`]);
    expect(await bills()).toEqual(before);

    const taken = `${REGISTRY}/myorg/taken:${pkg.version}`;
    const other = manifests[0]?.digest ?? "";
    await copy(publisher, `${REPOSITORY}@${other}`, taken);
    const refused = await publish(instead(await publishing(), "$IMAGE", taken));
    const line = `error: ${taken} already exists and is another image: ${other}\n`;
    expect([refused.status, refused.stdout, refused.stderr]).toEqual([1, "", line]);
    expect(await oras("resolve", taken)).toBe(other);
  });

  test("what cannot be signed gets no tag", async () => {
    // A file where the registry would put the folder of the signature's tag.
    const tags = join(store, "docker", "registry", "v2", "repositories", "myorg", "refused", "_manifests", "tags");
    await mkdir(tags, { recursive: true });
    await Bun.write(join(tags, index.digest.replace(":", "-")), "");
    const refused = `${REGISTRY}/myorg/refused`;
    const failed = await publish(instead(await publishing(), "$IMAGE", `${refused}:${pkg.version}`));
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
    [`${REGISTRY}/My/pause:${pkg.version} ARCHIVE`, /^error: ".*" is not a registry, /],
    [`IMAGE@sha256:${"0".repeat(64)} ARCHIVE`, /^error: ".*" is not a registry, /],
    ["IMAGE /nonexistent", /^error: there is no archive \/nonexistent$/],
    [`${REGISTRY}//pause:${pkg.version} ARCHIVE`, /^error: ".*" is not a registry, /],
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
    ["dockerd", "docker", "podman", "containerd", "ctr", "skopeo", "docker-registry"],
    (generation) => {
      /** Starts the engine on a host that runs the registry too. */
      const start = <E extends Engine>(engine: (host: Host) => Promise<E>): Promise<E> =>
        onNewHost(generation, async (host) => {
          await startRegistry(host, store);
          return engine(host);
        });

      test.each([
        ["docker", Docker.start],
        ["podman", Podman.start],
        ["containerd", Containerd.start],
      ] as const)("%s pulls it by tag and by digest, and its pods run it", async (_, starting) => {
        for (const reference of [IMAGE, `${REPOSITORY}@${index.digest}`]) {
          await using engine = await start<Engine>((host) => starting(host, { reference }));
          if (engine instanceof Podman) await engine.output("pull", "--quiet", "--tls-verify=false", reference);
          const pod = await engine.startPod("pulled", { sharedPid: true });
          await asleep(engine.host, pod.pause);
          await engine.host.kill(pod.pause, "TERM");
          await until("it has ended on SIGTERM", async () => !(await pod.running()));
          expect(await pod.exitStatus()).toBe(0);
        }
      });

      test("skopeo mirrors it with its digest, and converts it to Docker's format; so do oras and skopeo sync with all that is attached", async () => {
        await using podman = await start((host) => Podman.start(host));
        const skopeo = (command: string, ...args: readonly string[]) =>
          podman.host.output(["skopeo", "--insecure-policy", ...command.split(" "), ...args], podman.env);
        const insecure = ["--all", "--src-tls-verify=false", "--dest-tls-verify=false"];
        const mirror = (name: string) => `${REGISTRY}/${generation.name.toLowerCase().replace(" ", "-")}/${name}`;
        const copied = `${mirror("copied")}:${pkg.version}`;
        await skopeo("copy --preserve-digests", ...insecure, `docker://${IMAGE}`, `docker://${copied}`);
        expect(await oras("resolve", copied)).toBe(index.digest);
        await skopeo("copy --format v2s2", ...insecure, `docker://${IMAGE}`, `docker://${mirror("converted:1")}`);
        const list = JSON.parse(await oras("manifest fetch", mirror("converted:1"))) as { mediaType: string };
        expect(list.mediaType).toBe("application/vnd.docker.distribution.manifest.list.v2+json");
        if (generation === MACHINE) return;

        await copy(podman.host, IMAGE, `${mirror("oras")}:${pkg.version}`);
        await skopeo("sync --preserve-digests --src docker --dest docker", ...insecure, REPOSITORY, mirror("synced"));
        const older = `${index.digest.replace(":", "-")}.sig`;
        for (const [repository, status] of [
          [mirror("oras"), 1],
          [`${mirror("synced")}/pause-ts`, 0],
        ] as const) {
          const name = `${repository}:${pkg.version}`;
          expect(await oras("resolve", name)).toBe(index.digest);
          for (const { id } of PLATFORMS) expect(await attached(name, id)).toEqual(await attached(IMAGE, id));
          const found = await publisher.run(["oras", "resolve", "--plain-http", `${repository}:${older}`]);
          expect(found.status).toBe(status);
        }
      });
    },
  );

  // Debian 12's skopeo and podman are built without these signatures, and it has no cosign.
  describeGenerations(
    "Verified",
    ["podman", "skopeo"],
    (generation) => {
      test("cosign, and podman and skopeo under image.md's policy, accept it; unsigned or signed by another it is refused", async () => {
        await using podman = await onNewHost(generation, (host) => Podman.start(host));
        const { host } = podman;
        await startRegistry(host, store);
        const document = await Bun.file(join(ROOT, "docs", "image.md")).text();
        const said = (pattern: RegExp) =>
          document.match(pattern)?.[1]?.replace("registry.example/myorg/pause-ts", REPOSITORY) ?? "";
        const policy = said(/```json\n(.*?sigstoreSigned.*?)```/s);
        const attachments = said(/```yaml\n(.*?use-sigstore-attachments.*?)```/s);
        const origin = `${said(/`("signedIdentity": .*?)`/)}, `;
        const install = (path: string, text: string) =>
          host.output(["sh", "-ec", 'mkdir -p "$(dirname "$1")"; printf %s "$2" >"$1"', "install", path, text]);
        /** The judgement of each tool on the image called `name`, which the key called `signer` should have signed. */
        const judge = async (name: string, signer: string, identity = "") => {
          await install("/etc/containers/policy.json", policy.replace('"keyPath"', `${identity}"keyPath"`));
          await install("/etc/containers/registries.d/pause-ts.yaml", attachments);
          await install("/etc/containers/cosign.pub", await Bun.file(key(signer, "pub")).text());
          const copying = ["--src-tls-verify=false", `docker://${name}`, `dir:${join(host.folder, "copy")}`];
          const judged = [];
          for (const command of [
            ["podman", "pull", "--quiet", "--tls-verify=false", name],
            ["skopeo", "copy", ...copying],
            ["skopeo", "copy", "--all", ...copying],
            ["cosign", "verify", ...by(signer), name],
          ]) {
            const { status, stderr } = await host.run(command, podman.env);
            judged.push(status === 0 ? "accepted" : stderr);
          }
          return judged;
        };
        const all = (what: string | RegExp) => Array.from({ length: 4 }, () => expect.stringMatching(what));
        for (const name of [IMAGE, `${REPOSITORY}@${index.digest}`])
          expect(await judge(name, "signer")).toEqual(all(/^accepted$/));
        const mirror = `${REPOSITORY}/${generation === sid ? "sid" : "stable"}:${pkg.version}`;
        const copying = ["skopeo", "copy", "--all", "--preserve-digests", `docker://${IMAGE}`, `docker://${mirror}`];
        await host.output([...copying, "--src-tls-verify=false", "--dest-tls-verify=false"], podman.env);
        expect(await judge(mirror, "signer", origin)).toEqual(all(/^accepted$/));
        expect(await judge(IMAGE, "stranger")).toEqual(all(/invalid signature|accepted signatures do not match/));
        expect(await judge(UNSIGNED, "signer")).toEqual(all(/no signature exists|no signatures found/));
      });
    },
    { of: GENERATIONS.filter((generation) => generation !== MACHINE) },
  );
}

// Debian 13 has oras 1.2, which does not find the index, and cosign 2.
if (SID) {
  const sid = SID;
  describeEngine("Through a registry", ["debootstrap", "docker-registry", "node", "npm"], () => publishAndPull(sid));
}
