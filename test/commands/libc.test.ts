/** The libc6 that the image gets if the pinned one is gone: only one that a signed index vouches for. */
import { expect } from "bun:test";
import { createHash } from "node:crypto";
import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import { output } from "../../scripts/command/run.ts";
import { hasApt } from "../../scripts/debian/apt.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { readPackages } from "../../scripts/image/libc.ts";
import { evaluate, freshProject, POOL } from "../support/project.ts";
import { notInstalled, testUnless } from "../support/skip.ts";
import { temporary } from "../support/temporary.ts";

const { architecture } = hostPlatform();
/** The release's first version, one newer than the pinned one, and one of no release. */
const first = LIBC6.version.replace(/\+.*/, "");
const [successor, stranger] = [`${first}+deb${LIBC6.release}u99`, "9.99-1"];

/** Writes a package named libc6 to `path`, with nothing but a copyright file in it. */
async function writePackage(path: string, version: string): Promise<void> {
  const root = temporary("package");
  const fields = { Package: "libc6", Version: version, Architecture: architecture, Maintainer: "Nobody <a@b.example>" };
  const control = Object.entries({ ...fields, Description: "none" }).map(([key, value]) => `${key}: ${value}\n`);
  await Bun.write(join(root, "DEBIAN", "control"), control.join(""));
  await Bun.write(join(root, "usr", "share", "doc", "libc6", "copyright"), "none\n");
  await chmod(join(root, "DEBIAN"), 0o755);
  await output(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, path]);
}

/** Signs the file at `path` with a new key, as the file InRelease beside it, and returns the file with the public key. */
async function sign(path: string): Promise<string> {
  const home = temporary("key");
  const gpg = ["gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--passphrase", ""];
  await output([...gpg, "--quick-generate-key", "test@pause.example", "ed25519", "sign", "never"]);
  await output([...gpg, "--output", join(home, "public.gpg"), "--export"]);
  await output([...gpg, "--output", join(path, "..", "InRelease"), "--clear-sign", path]);
  await output(["gpgconf", "--homedir", home, "--kill", "all"]);
  return join(home, "public.gpg");
}

/** Makes a Debian mirror with one version of libc6, whose index is not signed, and returns the paths of both. */
async function fill(mirror: string, version: string): Promise<{ release: string; file: string }> {
  const name = join(POOL, `libc6_${version}_${architecture}.deb`);
  const file = join(mirror, name);
  await writePackage(file, version);
  const bytes = await Bun.file(file).bytes();
  const digest = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");
  const index = `Package: libc6\nVersion: ${version}\nArchitecture: ${architecture}\nSize: ${bytes.length}
Filename: ${name}\nSHA256: ${digest(bytes)}\n`;
  const [dists, path] = [join(mirror, "dists", LIBC6.codename), `main/binary-${architecture}/Packages`];
  await Bun.write(join(dists, path), index);
  const release = `Origin: Debian\nCodename: ${LIBC6.codename}\nSuite: stable\nArchitectures: ${architecture}
Components: main\nDate: ${new Date(Date.now() - 60_000).toUTCString().replace("GMT", "UTC")}
SHA256:\n ${digest(index)} ${index.length} ${path}\n`;
  await Bun.write(join(dists, "Release"), release);
  return { release: join(dists, "Release"), file };
}

const refused = (reason: string) =>
  new RegExp(`^error: cannot fetch libc6 .*; nor any newer one: .*(${reason}).*; name another mirror .*\\n$`);
for (const [title, version, signer, line] of [
  [
    "is signed is followed to the newest package, and a line says so",
    successor,
    "us",
    /^note: no mirror has libc6 \S+ for a(md|rm)64 any more: \S+deb\d+u99 is taken, .*bill of materials.*\n$/,
  ],
  ["is not signed is refused", successor, "nobody", refused("not signed")],
  ["is signed by somebody else is refused", successor, "another", refused("not signed|signature|NO_PUBKEY")],
  ["names another package than the mirror has is refused", successor, "changed", refused("[Hh]ash|size")],
  ["names an older package than the pinned one is refused", first, "us", refused("the newest of Debian 13 there is")],
  ["names another release's package is refused", stranger, "us", refused("9\\.99-1, not a libc6 of Debian 13")],
] as const)
  testUnless(
    notInstalled("gpg", "dpkg-deb") ?? (!hasApt() && "not installed: apt"),
    `an index that ${title}`,
    async () => {
      const { root, mirror, cache } = await freshProject();
      const { release, file } = await fill(mirror, version);
      const keyring = await sign(release);
      if (signer === "another") await sign(release);
      if (signer === "nobody") await Bun.file(join(release, "..", "InRelease")).delete();
      if (signer === "changed") await writePackage(file, `${version}+1`);
      const supply = JSON.stringify({ mirror: `file://${mirror}`, keyring });
      const code = `import { libc6 } from "./scripts/image/libc.ts";
      import { hostPlatform } from "./scripts/executable/platforms.ts";
      import { fail } from "./scripts/command/report.ts";
      console.log((await libc6(hostPlatform(), ${supply}).catch(fail)).version);`;
      const { status, stdout, stderr } = await evaluate(code, root);
      expect(stderr).toMatch(line);
      expect([status, stdout]).toEqual(line.source.startsWith("^note") ? [0, `${version}\n`] : [1, ""]);
      expect(await readdir(cache)).toEqual([]);
    },
  );

testUnless(
  notInstalled("dpkg-deb"),
  "packages given by --libc6 must be of the pinned release, exactly one for each platform",
  async () => {
    const [ours, theirs] = ["ours.deb", "theirs.deb"].map((name) => join(temporary("libc"), name)) as [string, string];
    await writePackage(ours, first);
    await writePackage(theirs, stranger);
    const platform = hostPlatform();
    const other = { ...platform, architecture: architecture === "amd64" ? "arm64" : "amd64" } as const;
    await expect(readPackages(theirs, [platform])).rejects.toThrow("it is libc6 9.99-1, not a libc6 of Debian 13");
    await expect(readPackages(ours, [other])).rejects.toThrow(
      `it is for ${architecture}, not for ${other.architecture}`,
    );
    await expect(readPackages(ours, [platform, other])).rejects.toThrow(`names no package for ${other.architecture}`);
    await expect(readPackages(`${ours},${ours}`, [platform])).rejects.toThrow(`it is the second for ${architecture}`);
    expect((await readPackages(ours, [platform])).get(architecture)?.version).toBe(first);
  },
);
