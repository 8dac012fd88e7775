/** Which libc6 the image gets if the pinned one is gone: only one that a signed index vouches for. */
import { afterAll, beforeAll, expect } from "bun:test";
import { createHash } from "node:crypto";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Ran } from "../../scripts/command/run.ts";
import { hasApt } from "../../scripts/debian/apt.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { bring } from "../../scripts/image/libc.ts";
import { evaluate, freshProject, POOL } from "../support/project.ts";
import { testIf } from "../support/skip.ts";

const { architecture } = hostPlatform();
/** The release's first version, one newer than the pinned one, and one of no release. */
const first = LIBC6.version.replace(/\+.*/, "");
const [successor, stranger] = [`${first}+deb${LIBC6.release}u99`, "9.99-1"];

const missing = [...["gpg", "dpkg-deb"].filter((tool) => Bun.which(tool) === null), ...(hasApt() ? [] : ["apt"])].join(
  " and ",
);
const NEEDS_TOOLS = missing && `${missing} not installed`;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pause-libc-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a command. Throws with its messages if it fails. */
function run(command: readonly string[], input = ""): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: Buffer.from(input) });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** Writes a package named libc6 to `path`, with nothing but a copyright file in it. */
async function writePackage(path: string, version: string): Promise<void> {
  const root = await mkdtemp(join(folder, "package-"));
  const fields = { Package: "libc6", Version: version, Architecture: architecture, Maintainer: "Nobody <a@b.example>" };
  const control = Object.entries({ ...fields, Description: "none" }).map(([key, value]) => `${key}: ${value}\n`);
  await Bun.write(join(root, "DEBIAN", "control"), control.join(""));
  await Bun.write(join(root, "usr", "share", "doc", "libc6", "copyright"), "none\n");
  await chmod(join(root, "DEBIAN"), 0o755);
  run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, path]);
}

/** Makes a signing key, and returns gpg's home and the file with the public key. */
async function makeKey(): Promise<{ home: string; keyring: string }> {
  const home = await mkdtemp(join(folder, "key-"));
  const gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", ""];
  run([...gpg, "--quick-generate-key", "test@pause.example", "ed25519", "sign", "never"]);
  const keyring = join(home, "public.gpg");
  run([...gpg, "--output", keyring, "--export"]);
  run(["gpgconf", "--homedir", home, "--kill", "all"]);
  return { home, keyring };
}

/** Writes `text` to `path` as an InRelease file signed with the key in `home`. */
function sign(text: string, path: string, home: string): void {
  run(["gpg", "--homedir", home, "--batch", "--quiet", "--output", path, "--clear-sign"], text);
  run(["gpgconf", "--homedir", home, "--kill", "all"]);
}

/** Makes a Debian mirror with one version of libc6, and an index that is not signed yet. */
async function mirrorWith(mirror: string, version: string): Promise<{ release: string; dists: string; file: string }> {
  const file = join(mirror, POOL, `libc6_${version}_${architecture}.deb`);
  await writePackage(file, version);
  const bytes = await Bun.file(file).bytes();
  const digest = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");
  const index = [
    `Package: libc6\nVersion: ${version}\nArchitecture: ${architecture}\nSize: ${bytes.length}`,
    `Filename: ${POOL}/libc6_${version}_${architecture}.deb\nSHA256: ${digest(bytes)}\n`,
  ].join("\n");
  const dists = join(mirror, "dists", LIBC6.codename);
  const path = `main/binary-${architecture}/Packages`;
  await Bun.write(join(dists, path), index);
  const release = [
    `Origin: Debian\nCodename: ${LIBC6.codename}\nSuite: stable\nArchitectures: ${architecture}\nComponents: main`,
    `Date: ${new Date(Date.now() - 60_000).toUTCString().replace("GMT", "UTC")}`,
    `SHA256:\n ${digest(index)} ${index.length} ${path}\n`,
  ].join("\n");
  return { release, dists, file };
}

/** Asks `mirror` for libc6 in the project `root`, with an index that must be signed by a key in `keyring`; prints the version. */
function ask(root: string, mirror: string, keyring: string): Promise<Ran> {
  const supply = JSON.stringify({ mirror: `file://${mirror}`, keyring });
  const code = `import { libc6 } from "./scripts/image/libc.ts";
    import { hostPlatform } from "./scripts/executable/platforms.ts";
    import { fail } from "./scripts/command/report.ts";
    console.log((await libc6(hostPlatform(), ${supply}).catch(fail)).version);`;
  return evaluate(code, root);
}

testIf(NEEDS_TOOLS, "the newest package that a signed index vouches for is taken, and a line says so", async () => {
  const { root, mirror } = await freshProject(folder);
  const { home, keyring } = await makeKey();
  const { release, dists } = await mirrorWith(mirror, successor);
  sign(release, join(dists, "InRelease"), home);
  const { status, stdout, stderr } = await ask(root, mirror, keyring);
  expect(stderr).toMatch(
    /^note: no mirror has libc6 \S+ for a(md|rm)64 any more: \S+deb\d+u99 is taken, .*bill of materials.*\n$/,
  );
  expect({ status, stdout }).toEqual({ status: 0, stdout: `${successor}\n` });
  expect(await readdir(join(root, "node_modules", ".cache", "pause-ts"))).toEqual([]);
});

for (const [title, version, signer, reason] of [
  ["is not signed", successor, "nobody", /not signed/],
  ["is signed by somebody else", successor, "another", /not signed|signature|NO_PUBKEY/],
  ["names another package than the mirror has", successor, "changed", /[Hh]ash|size/],
  ["names an older package than the pinned one", first, "us", /the newest of Debian 13 there is \S+;/],
  ["names another release's package", stranger, "us", /it is libc6 9\.99-1, not a libc6 of Debian 13/],
] as const)
  testIf(NEEDS_TOOLS, `an index that ${title} is refused`, async () => {
    const { root, mirror } = await freshProject(folder);
    const { home, keyring } = await makeKey();
    const { release, dists, file } = await mirrorWith(mirror, version);
    if (signer === "nobody") await Bun.write(join(dists, "Release"), release);
    else sign(release, join(dists, "InRelease"), signer === "another" ? (await makeKey()).home : home);
    if (signer === "changed") await writePackage(file, `${version}+1`);
    const { status, stdout, stderr } = await ask(root, mirror, keyring);
    expect(stderr).toMatch(/^error: cannot fetch libc6 .*; nor any newer one: .*; name another mirror .*\n$/);
    expect(stderr).toMatch(reason);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  });

testIf(
  Bun.which("dpkg-deb") ? undefined : "dpkg-deb not installed",
  "packages given by --libc6 must be of the pinned release, exactly one for each platform",
  async () => {
    const [ours, theirs] = [join(folder, "ours.deb"), join(folder, "theirs.deb")];
    await writePackage(ours, first);
    await writePackage(theirs, stranger);
    const platform = hostPlatform();
    const other = { ...platform, architecture: architecture === "amd64" ? "arm64" : "amd64" } as const;
    await expect(bring(theirs, [platform])).rejects.toThrow("it is libc6 9.99-1, not a libc6 of Debian 13");
    await expect(bring(ours, [other])).rejects.toThrow(`it is for ${architecture}, not for ${other.architecture}`);
    await expect(bring(ours, [platform, other])).rejects.toThrow(`names no package for ${other.architecture}`);
    await expect(bring(`${ours},${ours}`, [platform])).rejects.toThrow(`it is the second for ${architecture}`);
    expect((await bring(ours, [platform])).get(architecture)?.version).toBe(first);
  },
);
