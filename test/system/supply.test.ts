/**
 * The sources of the image, with Debian's mirrors and npm's registry: the pinned one gone, brought, changed in the
 * cache, or another.
 */
import { expect } from "bun:test";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json";
import { CACHE, sha256Of } from "../../scripts/command/kept.ts";
import { output, type Ran, run } from "../../scripts/command/run.ts";
import { RELEASES } from "../../scripts/executable/bun.ts";
import { hostPlatform, PLATFORMS, type Platform } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { freshProject, image, POOL, runScript } from "../support/project.ts";
import { temporary } from "../support/temporary.ts";
import { bill, testSupplied as test } from "./supplied.ts";

const host = hostPlatform();
const [other = host] = PLATFORMS.filter((platform) => platform !== host);

/** Any time. */
const TIME = { SOURCE_DATE_EPOCH: "1" };

const folder = temporary("supply");

/** The file of the pinned libc6 for a platform. */
const fileOf = ({ architecture }: Platform) => `libc6_${LIBC6.version}_${architecture}.deb`;

/** Expects success, and returns the component called `name` that the bill of materials beside the archive `path` names. */
async function component(built: Ran, path: string, platform: Platform, name: string) {
  expect({ ...built, stdout: "" }).toEqual({ status: 0, stdout: "", stderr: expect.stringMatching(/^(note: .*\n)*$/) });
  const { components } = await bill(path.replace(".tar", `.${platform.name}.cdx.json`));
  return components?.find((one) => one.name === name);
}

test("a version that no mirror has gives way to the newest that Debian's index vouches for", async () => {
  const { root } = await freshProject();
  const source = join(root, "scripts", "image", "debian.ts");
  // Debian counts from 1.
  const gone = LIBC6.version.replace(/u\d+$/, "u0");
  await Bun.write(source, (await Bun.file(source).text()).replace(`"${LIBC6.version}"`, `"${gone}"`));
  const path = join(folder, "successor.tar");
  const built = await image(["--platform", host.name, "--output", path], TIME, root);
  const { version = "" } = (await component(built, path, host, "libc6")) ?? {};
  const line = `note: no mirror has libc6 ${gone} for ${host.architecture} any more: ${version} is taken, the newest of `;
  expect(built.stderr).toStartWith(line);
  await output(["dpkg", "--compare-versions", version, "ge", LIBC6.version]);
});

test("a package that is brought and not the pinned one is taken as it is; a line and the bill of materials say so", async () => {
  const [unpacked, rebuilt] = [join(folder, "unpacked"), join(folder, "rebuilt.deb")];
  const version = `${LIBC6.version}+rebuilt1`;
  await output(["dpkg-deb", "--raw-extract", join(CACHE, fileOf(host)), unpacked]);
  await output(["sed", "-i", `s/^Version: .*/Version: ${version}/`, join(unpacked, "DEBIAN", "control")]);
  await output(["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", unpacked, rebuilt]);
  const digest = await sha256Of(rebuilt);
  const path = join(folder, "brought.tar");
  const built = await image(["--platform", host.name, "--output", path, "--libc6", rebuilt], TIME);
  const line = `note: libc6 ${version} for ${host.architecture} (SHA-256 ${digest}) is not the pinned `;
  expect(built.stderr).toStartWith(line);
  expect(await component(built, path, host, "libc6")).toMatchObject({
    version,
    hashes: [{ alg: "SHA-256", content: digest }],
  });
});

test("what has changed in the cache is named and fetched anew, from npm and the mirror that is named", async () => {
  const { root, cache, mirror } = await freshProject();
  await cp(join(CACHE, fileOf(other)), join(mirror, POOL, fileOf(other)));
  const [bun, digest] = [
    `bun-${other.name}-${pkg.devDependencies.bun}`,
    RELEASES[pkg.devDependencies.bun]?.[other.architecture] ?? "",
  ];
  const kept = new Map([
    [bun, digest],
    [fileOf(other), LIBC6.sha256[other.architecture]],
  ]);
  for (const name of kept.keys()) {
    const bytes = await Bun.file(join(CACHE, name)).bytes();
    bytes.fill(0, 1000, 2000);
    await Bun.write(join(cache, name), bytes);
  }
  const path = join(folder, "changed.tar");
  const built = await image(
    ["--platform", other.name, "--output", path, "--debian-mirror", `file://${mirror}`],
    TIME,
    root,
  );
  for (const [name, pinned] of kept) {
    const line = new RegExp(
      `^note: \\S*${RegExp.escape(name)} has SHA-256 \\w{64}, not ${pinned}: it is fetched anew$`,
      "m",
    );
    expect(built.stderr).toMatch(line);
    expect(await sha256Of(join(cache, name))).toBe(pinned);
  }
  expect(await component(built, path, other, "bun")).toMatchObject({ hashes: [{ alg: "SHA-256", content: digest }] });
});

test("another Bun that runs the build is compiled in, with the pinned libc6 that is brought; a line and the bill of materials say which", async () => {
  const [bun, path] = [join(folder, "bun"), join(folder, "another.tar")];
  await cp(process.execPath, bun);
  await output(["sed", "-i", "s/Bun is a fast JavaScript runtime/Our is a fast JavaScript runtime/", bun]);
  const digest = await sha256Of(bun);
  const { root } = await freshProject();
  const options = ["--platform", host.name, "--output", path, "--libc6", join(CACHE, fileOf(host))];
  const built = await run([bun, join(root, "scripts", "image.ts"), ...options], { cwd: root, env: TIME });
  const line = `note: ${bun} (SHA-256 ${digest}) is compiled in, which is not the Bun of ${host.bunPackage} `;
  expect(built.stderr).toStartWith(line);
  const found = await component(built, path, host, "bun");
  expect(found).toMatchObject({ hashes: [{ alg: "SHA-256", content: digest }] });
  expect(found?.purl).toBeUndefined();
});

test("a project that has built the image once builds it without a network", async () => {
  // The other platform's: its Bun is a download too.
  const options = ["--output", join(folder, "offline.tar"), "--platform", other.name];
  const { stderr, status } = await runScript("image.ts", options, TIME, undefined, ["unshare", "--net"]);
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
});
