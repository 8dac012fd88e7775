/** What `npm run image` refuses, in one line and before it asks, compiles or fetches anything; and image names. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Elf } from "../../scripts/build/elf.ts";
import { hostPlatform } from "../../scripts/build/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { parseReference } from "../../scripts/image/name.ts";
import { freshProject, image, type Outcome, POOL } from "../support/project.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pause-image-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Expects one line on standard error that says `what`, and nothing written below the folder but `kept`. */
async function expectRefusal(outcome: Outcome, what: RegExp, where: string, kept: readonly string[]): Promise<void> {
  expect(outcome.stderr).toMatch(what);
  expect(outcome.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(outcome.stdout).toBe("");
  expect(outcome.status).toBe(1);
  expect(await readdir(where)).toEqual([...kept]);
}

test("what is not an ELF file is refused", () => {
  expect(() => new Elf(new TextEncoder().encode("#!/bin/sh\n"), "/pause")).toThrow("/pause is not a 64-bit ELF file");
});

test("image names get the registry and the tag that container engines give them", () => {
  expect(parseReference("pause-ts").canonical).toBe("docker.io/library/pause-ts:latest");
  expect(parseReference("myorg/pause-ts:1.0").canonical).toBe("docker.io/myorg/pause-ts:1.0");
  expect(parseReference("localhost/pause-ts:1.0").canonical).toBe("localhost/pause-ts:1.0");
  expect(parseReference("registry.example:5000/a/b:1").canonical).toBe("registry.example:5000/a/b:1");
});

describe("bad input is one line, and nothing is written", () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "an unknown platform",
      ["--platform", "linux/riscv64"],
      /unknown platform "linux-riscv64": it is one of linux-amd64/,
    ],
    ["an unknown compression", ["--compression", "xz"], /unknown compression "xz": it is one of gzip, zstd/],
    ["an option that does not exist", ["--platfrom", "linux/amd64"], /unknown option --platfrom/],
    ["an operand", ["linux/amd64"], /unexpected "linux\/amd64"/],
    ["a tag that is no image name", ["--tag", "Pause:1"], /"Pause:1" is not an image name/],
    ["two platforms in one folder", ["--rootfs", "x", "--platform", "linux/amd64,linux/arm64"], /takes one --platform/],
  ];
  for (const [name, args, what] of cases) {
    test(name, async () => {
      const where = await mkdtemp(join(folder, "bad-"));
      await expectRefusal(await image(["--output", join(where, "a.tar"), ...args]), what, where, []);
    });
  }

  test("a time that is none", async () => {
    const where = await mkdtemp(join(folder, "bad-"));
    const outcome = await image(["--output", join(where, "a.tar")], { SOURCE_DATE_EPOCH: "yesterday" });
    await expectRefusal(outcome, /SOURCE_DATE_EPOCH is "yesterday"/, where, []);
  });

  test("a file where the folder should be", async () => {
    const where = await mkdtemp(join(folder, "bad-"));
    await Bun.write(join(where, "dist"), "");
    const outcome = await image(["--output", join(where, "dist", "a.tar")]);
    await expectRefusal(outcome, /^error: cannot write to .*dist/, where, ["dist"]);
  });

  test("a root filesystem that is there already", async () => {
    const where = await mkdtemp(join(folder, "bad-"));
    await mkdir(join(where, "rootfs"));
    await expectRefusal(await image(["--rootfs", join(where, "rootfs")]), /is there already/, where, ["rootfs"]);
  });
});

describe("a Debian mirror", () => {
  const { architecture, name: platform } = hostPlatform();
  const name = `libc6_${LIBC6.version}_${architecture}.deb`;
  const args = (output: string, mirror: string) => [
    ...["--output", join(output, "a.tar"), "--platform", platform, "--debian-mirror", `file://${mirror}`],
  ];

  test("without the pinned version is named", async () => {
    const { root, where, mirror } = await freshProject(folder);
    const outcome = await image(args(where, mirror), { SOURCE_DATE_EPOCH: "1" }, root);
    await expectRefusal(outcome, new RegExp(`cannot fetch libc6 .*${mirror}/${POOL}`), where, []);
  });

  test("with another file under that name is refused", async () => {
    const { root, where, mirror } = await freshProject(folder);
    await Bun.write(join(mirror, POOL, name), "not the package");
    const outcome = await image(args(where, mirror), { SOURCE_DATE_EPOCH: "1" }, root);
    await expectRefusal(outcome, /libc6 for a(md|rm)64: SHA-256 is \w{64}, the project pins \w{64}/, where, []);
    expect(await readdir(join(root, "node_modules", ".cache", "pause-ts"))).toEqual([]);
  });

  test("is not asked if it is not known from when the image is", async () => {
    const { root, where, mirror } = await freshProject(folder);
    await expectRefusal(
      await image(args(where, mirror), { SOURCE_DATE_EPOCH: "" }, root),
      /set SOURCE_DATE_EPOCH/,
      where,
      [],
    );
  });
});
