/** What the image is made from, with Debian's mirrors and npm's registry: the pinned one gone, brought, changed in the cache, or another. */
import { afterAll, beforeAll, expect } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../package.json";
import { messageOf } from "../../scripts/command/report.ts";
import type { Ran } from "../../scripts/command/run.ts";
import { RELEASES } from "../../scripts/executable/bun.ts";
import { CACHE, sha256Of } from "../../scripts/executable/cache.ts";
import { hostPlatform, PLATFORMS, type Platform } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { libc6 } from "../../scripts/image/libc.ts";
import { copyProject, image, runScript } from "../support/project.ts";
import { testIf } from "../support/skip.ts";

const host = hostPlatform();
const [other = host] = PLATFORMS.filter((platform) => platform !== host);
/** SHA-256 of the pinned Bun for it. */
const bunDigest = RELEASES[pkg.devDependencies.bun]?.[other.architecture] ?? "";

/** Why nothing can be fetched here, or undefined. */
const missing = process.env["CI"]
  ? undefined
  : await Promise.all(PLATFORMS.map((platform) => libc6(platform))).then(() => undefined, messageOf);
const test = (title: string, body: () => Promise<void>) => testIf(missing, title, body);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pause-supply-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The file of the pinned libc6 for a platform. */
const fileOf = ({ architecture }: Platform) => `libc6_${LIBC6.version}_${architecture}.deb`;

/** A copy of the project whose cache is empty, and where that is. */
async function emptyProject(): Promise<{ root: string; cache: string }> {
  const root = join(await mkdtemp(join(folder, "copy-")), "project");
  await copyProject(root, { downloads: false });
  return { root, cache: join(root, "node_modules", ".cache", "pause-ts") };
}

/** Changes one byte in the middle of the file at `path`. */
async function flip(path: string): Promise<void> {
  const bytes = await Bun.file(path).bytes();
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await Bun.write(path, bytes);
}

/** A component of a bill of materials, by what it is told by. */
interface Component {
  readonly name: string;
  readonly version: string;
  readonly purl?: string;
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
}

/** Builds the image of `platform` and returns the components that its bill of materials names. */
async function components(
  platform: Platform,
  args: readonly string[],
  root?: string,
): Promise<{ built: Ran; named: Map<string, Component> }> {
  const path = join(await mkdtemp(join(folder, "out-")), "a.tar");
  const built = await image(["--platform", platform.name, "--output", path, ...args], { SOURCE_DATE_EPOCH: "1" }, root);
  expect({ status: built.status, stderr: built.status === 0 ? "" : built.stderr }).toEqual({ status: 0, stderr: "" });
  const { components: list } = (await Bun.file(path.replace(".tar", `.${platform.name}.cdx.json`)).json()) as {
    components: Component[];
  };
  return { built, named: new Map(list.map((component) => [component.name, component])) };
}

test("a version that no mirror has gives way to the newest that Debian's index vouches for", async () => {
  const { root } = await emptyProject();
  const path = join(root, "scripts", "image", "debian.ts");
  // Debian counts from 1.
  const gone = LIBC6.version.replace(/u\d+$/, "u0");
  await Bun.write(path, (await Bun.file(path).text()).replace(`"${LIBC6.version}"`, `"${gone}"`));
  const { built, named } = await components(host, [], root);
  const version = named.get("libc6")?.version ?? "";
  expect(built.stderr).toBe(
    `note: no mirror has libc6 ${gone} for ${host.architecture} any more: ${version} is taken, the newest of Debian ${LIBC6.release} by its signed index; the image's digest is another than the release's, and its bill of materials says what is in it\n`,
  );
  expect(Bun.spawnSync(["dpkg", "--compare-versions", version, "ge", LIBC6.version]).exitCode).toBe(0);
});

test("a package that is brought and not the pinned one is taken as it is; a line and the bill of materials say so", async () => {
  const [unpacked, rebuilt] = [join(folder, "unpacked"), join(folder, "rebuilt.deb")];
  const version = `${LIBC6.version}+rebuilt1`;
  const commands = [
    ["dpkg-deb", "--raw-extract", join(CACHE, fileOf(host)), unpacked],
    ["sed", "-i", `s/^Version: .*/Version: ${version}/`, join(unpacked, "DEBIAN", "control")],
    ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", unpacked, rebuilt],
  ];
  for (const command of commands) expect(Bun.spawnSync(command).exitCode).toBe(0);
  const digest = await sha256Of(rebuilt);
  const { built, named } = await components(host, ["--libc6", rebuilt]);
  expect(built.stderr).toStartWith(
    `note: libc6 ${version} for ${host.architecture} (SHA-256 ${digest}) is not the pinned `,
  );
  expect(named.get("libc6")).toMatchObject({ version, hashes: [{ alg: "SHA-256", content: digest }] });
});

test("what has changed in the cache is named and fetched anew", async () => {
  const { root, cache } = await emptyProject();
  const files = [
    [`bun-${other.name}-${pkg.devDependencies.bun}`, bunDigest],
    [fileOf(other), LIBC6.sha256[other.architecture]],
  ] as const;
  for (const [name] of files) {
    await cp(join(CACHE, name), join(cache, name));
    await flip(join(cache, name));
  }
  const { built, named } = await components(other, [], root);
  for (const [name, digest] of files) {
    expect(built.stderr).toMatch(
      new RegExp(`^note: \\S*${RegExp.escape(name)} has SHA-256 \\w{64}, not ${digest}: it is fetched anew$`, "m"),
    );
    expect(await sha256Of(join(cache, name))).toBe(digest);
  }
  expect(named.get("bun")?.hashes).toEqual([{ alg: "SHA-256", content: bunDigest }]);
});

test("another Bun that runs the build is compiled in, with the pinned libc6 that is brought; a line and the bill of materials say which", async () => {
  const bytes = await Bun.file(process.execPath).bytes();
  const words = "Bun is a fast JavaScript runtime";
  Buffer.from(bytes.buffer).write("Our", Buffer.from(bytes.buffer).indexOf(words));
  const path = join(folder, "bun");
  await Bun.write(path, bytes);
  Bun.spawnSync(["chmod", "755", path]);
  const digest = await sha256Of(path);
  const { root } = await emptyProject();
  const out = join(folder, "another.tar");
  const wrapper = [path, join(root, "scripts", "image.ts"), "--platform", host.name, "--output", out];
  const child = Bun.spawnSync([...wrapper, "--libc6", join(CACHE, fileOf(host))], {
    cwd: root,
    env: { ...process.env, SOURCE_DATE_EPOCH: "1" },
  });
  const line = `note: ${path} (SHA-256 ${digest}) is compiled in, which is not the Bun of ${host.bunPackage} `;
  expect(child.stderr.toString()).toStartWith(line);
  expect(child.stderr.toString().trimEnd()).not.toContain("\n");
  expect(child.exitCode).toBe(0);
  const { components: list } = (await Bun.file(out.replace(".tar", `.${host.name}.cdx.json`)).json()) as {
    components: Component[];
  };
  const bun = list.find(({ name }) => name === "bun");
  expect(bun?.hashes).toEqual([{ alg: "SHA-256", content: digest }]);
  expect(bun?.purl).toBeUndefined();
});

test("a project that has built the image once builds it without a network", async () => {
  const path = join(folder, "offline.tar");
  // The other platform's: its Bun is a download too.
  const build = ["image.ts", ["--output", path, "--platform", other.name], { SOURCE_DATE_EPOCH: "1" }] as const;
  const { stderr, status } = await runScript(...build, undefined, ["unshare", "--net"]);
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
});
