/** What `npm run image` refuses, in one line, before it compiles or fetches anything; and image names. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../package.json";
import { ROOT } from "../../scripts/command/project.ts";
import { InputError } from "../../scripts/command/report.ts";
import type { Ran } from "../../scripts/command/run.ts";
import { downloadByApt, hasApt } from "../../scripts/debian/apt.ts";
import { Elf } from "../../scripts/executable/elf.ts";
import { hostPlatform, PLATFORMS } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { mirrorAt } from "../../scripts/image/libc.ts";
import { parseReference } from "../../scripts/image/name.ts";
import { labels } from "../../scripts/image/provenance.ts";
import { evaluate, freshProject, image, POOL, runScript } from "../support/project.ts";
import { NEEDS_LOOPBACK, testIf } from "../support/skip.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pause-image-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Expects one line on standard error that matches `what`, and nothing in the folder `where` but `kept`. */
async function expectRefusal(outcome: Ran, what: RegExp, where: string, kept: readonly string[]): Promise<void> {
  expect(outcome.stderr).toMatch(what);
  expect(outcome.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(outcome.stdout).toBe("");
  expect(outcome.status).toBe(1);
  expect(await readdir(where)).toEqual([...kept]);
}

test("what is not an ELF file is refused", () => {
  expect(() => new Elf(new TextEncoder().encode("#!/bin/sh\n"), "/pause")).toThrow("/pause is not a 64-bit ELF file");
});

test("image names get the registry and the tag that container engines give them, and Docker's short name", () => {
  for (const [name, canonical, familiar = canonical] of [
    ["pause-ts", "docker.io/library/pause-ts:latest", "pause-ts:latest"],
    ["docker.io/library/pause-ts:1", "docker.io/library/pause-ts:1", "pause-ts:1"],
    ["docker.io/myorg/pause-ts:1.0", "docker.io/myorg/pause-ts:1.0", "myorg/pause-ts:1.0"],
    ["localhost/pause-ts:1.0", "localhost/pause-ts:1.0"],
    ["registry.example:5000/a/b:1", "registry.example:5000/a/b:1"],
  ] as const)
    expect(parseReference(name)).toMatchObject({ canonical, familiar });
});

describe("bad input is one line, and nothing is written", () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "an unknown platform",
      ["--platform", "linux/riscv64"],
      /unknown platform "linux\/riscv64": it is one of linux\/amd64/,
    ],
    ["an unknown compression", ["--compression", "xz"], /unknown compression "xz": it is one of gzip, zstd/],
    ["an option that does not exist", ["--platfrom", "linux/amd64"], /unknown option --platfrom/],
    ["an operand", ["linux/amd64"], /unexpected "linux\/amd64"/],
    ["a tag that is not an image name", ["--tag", "Pause:1"], /"Pause:1" is not an image name/],
    [
      "a mirror that is not a URL",
      ["--debian-mirror", "deb.example/debian"],
      /"deb.example\/debian" is not the http, https/,
    ],
    ["a missing package", ["--libc6", "/nonexistent.deb"], /^error: --libc6 \/nonexistent.deb: /],
    [
      "a file that is not a package",
      ["--libc6", join(ROOT, "LICENSE")],
      /^error: --libc6 .*LICENSE: it is not a Debian package/,
    ],
    ["a source that is not a URL", ["--source", "here"], /^error: --source "here" is not a URL/],
    ["two platforms in one folder", ["--rootfs", "x", "--platform", "linux/amd64,linux/arm64"], /takes one --platform/],
  ];
  for (const [name, args, what] of cases) {
    test(name, async () => {
      const where = await mkdtemp(join(folder, "bad-"));
      await expectRefusal(await image(["--output", join(where, "a.tar"), ...args]), what, where, []);
    });
  }

  test("a time that is not a number", async () => {
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

  test("a root filesystem that exists already", async () => {
    const where = await mkdtemp(join(folder, "bad-"));
    await mkdir(join(where, "rootfs"));
    await expectRefusal(await image(["--rootfs", join(where, "rootfs")]), /already exists/, where, ["rootfs"]);
  });
});

test("the Containerfile's labels are those of the archive", async () => {
  const text = await Bun.file(join(ROOT, "Containerfile")).text();
  const said = Object.fromEntries([...text.matchAll(/(org[.\w]+)="([^"$]*)"/g)].map(([, key, value]) => [key, value]));
  const { "org.opencontainers.image.created": _, ...fixed } = labels({ time: 0 });
  expect(said).toEqual(fixed);
  expect(fixed["org.opencontainers.image.version"]).toBe(pkg.version);
});

describe("the label that says where the sources are", () => {
  const needsGit = Bun.which("git") ? undefined : "git is not installed";
  for (const [remote, address] of [
    ["https://user:secret@git.example:8443/pause-ts.git?token=secret", "https://git.example:8443/pause-ts.git"],
    ["git@git.example:pause-ts.git", undefined],
    ["/srv/git/pause-ts.git", undefined],
  ] as const) {
    testIf(needsGit, `is ${address ?? "missing"} if git's origin is ${remote}`, async () => {
      const { root } = await freshProject(folder);
      Bun.spawnSync(["git", "init", "--quiet", root]);
      Bun.spawnSync(["git", "-C", root, "config", "remote.origin.url", remote]);
      const code = `import { provenance } from "./scripts/image/provenance.ts";
        console.log(JSON.stringify(await provenance("abc")));`;
      const { stdout, stderr } = await evaluate(code, root, { SOURCE_DATE_EPOCH: "1" });
      expect({ stderr, ...JSON.parse(stdout) }).toEqual({
        stderr: "",
        time: 1,
        revision: "abc",
        ...(address && { source: address }),
      });
    });
  }
});

describe("a Debian mirror", () => {
  const { architecture, name: platform } = hostPlatform();
  const name = `libc6_${LIBC6.version}_${architecture}.deb`;
  const args = (output: string, mirror: string) => [
    ...["--output", join(output, "a.tar"), "--platform", platform, "--debian-mirror", mirror],
  ];

  test("without the pinned version and without a signed index of the release is named with both reasons", async () => {
    const { root, where, mirror } = await freshProject(folder);
    const outcome = await image(args(where, `file://${mirror}`), { SOURCE_DATE_EPOCH: "1" }, root);
    const reason = hasApt()
      ? "(no mirror has an index of Debian's trixie|.*debian-archive-keyring.*)"
      : "there is no apt here.*";
    const what = `cannot fetch libc6 .*${mirror}/${POOL}.*; nor any newer one: ${reason}; name another mirror .* --libc6 FILE`;
    await expectRefusal(outcome, new RegExp(what), where, []);
    expect(await readdir(join(root, "node_modules", ".cache", "pause-ts"))).toEqual([]);
  });

  test("with another file under that name is refused", async () => {
    const { root, where, mirror } = await freshProject(folder);
    await Bun.write(join(mirror, POOL, name), "not the package");
    const outcome = await image(args(where, `file://${mirror}`), { SOURCE_DATE_EPOCH: "1" }, root);
    await expectRefusal(outcome, new RegExp(`${mirror}/.*: SHA-256 is \\w{64}, the project pins \\w{64}`), where, []);
    expect(await readdir(join(root, "node_modules", ".cache", "pause-ts"))).toEqual([]);
  });

  test("is not asked if the image's time is unknown", async () => {
    const { root, where, mirror } = await freshProject(folder);
    await expectRefusal(
      await image(args(where, `file://${mirror}`), { SOURCE_DATE_EPOCH: "" }, root),
      /set SOURCE_DATE_EPOCH/,
      where,
      [],
    );
  });

  test("may have trailing slashes", () => {
    expect(mirrorAt("https://deb.example/debian//")).toBe("https://deb.example/debian");
  });

  /** A mirror that answers with `fetch` until it is disposed of; without `fetch` it accepts connections and sends nothing. */
  function serve(fetch?: () => Response): { url: string } & Disposable {
    const server = fetch
      ? Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch })
      : Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    return { url: `http://127.0.0.1:${server.port}/debian`, [Symbol.dispose]: () => void server.stop(true) };
  }

  /** Asks `mirror` for libc6 in a project with an empty cache. `patience` is an option of Supply, as source text, or empty. */
  async function ask(mirror: string, patience: string): Promise<Ran> {
    const { root } = await freshProject(folder);
    const code = `import { libc6 } from "./scripts/image/libc.ts";
      import { hostPlatform } from "./scripts/executable/platforms.ts";
      import { fail } from "./scripts/command/report.ts";
      await libc6(hostPlatform(), { mirror: "${mirror}", ${patience} }).catch(fail);`;
    return evaluate(code, root, { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" });
  }

  const halfAnswer = () =>
    new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1000)) }));
  for (const [title, fetch, answer] of [
    ["that sends nothing is given up, and its address named", undefined, "sent nothing for 0.5 s"],
    ["that stops in the middle is given up, and its address named", halfAnswer, "sent nothing for 0.5 s"],
    ["that sends another file is named", () => new Response("<html>"), "SHA-256 is \\w{64}, the project pins \\w{64}"],
    ["that fails is named", () => new Response("", { status: 503 }), "503 Service Unavailable"],
  ] as const) {
    testIf(NEEDS_LOOPBACK, title, async () => {
      using mirror = serve(fetch);
      const { status, stderr } = await ask(mirror.url, answer.startsWith("sent nothing") ? "patience: 500" : "");
      expect(stderr).toMatch(
        new RegExp(
          `^error: cannot fetch libc6 .*: ${mirror.url}/${POOL}/${RegExp.escape(name)}: ${answer}; name another mirror .*\\n$`,
        ),
      );
      expect(status).toBe(1);
    });
  }

  testIf(NEEDS_LOOPBACK ?? (!hasApt() && "there is no apt"), "is given up by apt too", async () => {
    using mirror = serve();
    await expect(downloadByApt(`${mirror.url}/a`, join(folder, "a"), 1000)).rejects.toThrow(InputError);
  });
});

describe("a kept download", () => {
  const [other = hostPlatform()] = PLATFORMS.filter((platform) => platform !== hostPlatform());
  const kept = `bun-${other.name}-${pkg.devDependencies.bun}`;

  test("that has changed is named and fetched again; without a network one line says what was tried", async () => {
    const { root, where } = await freshProject(folder);
    const cache = join(root, "node_modules", ".cache", "pause-ts");
    await Bun.write(join(cache, kept), "not Bun");
    const registry = "http://127.0.0.1:1/";
    const { status, stdout, stderr } = await runScript(
      "build.ts",
      ["--target", other.name],
      { npm_config_registry: registry, npm_config_cache: where },
      root,
    );
    const [first, second, ...more] = stderr.split("\n");
    expect(first).toMatch(new RegExp(`^note: .*${kept} has SHA-256 \\w{64}, not \\w{64}: it is fetched anew$`));
    expect(second).toStartWith(`error: cannot fetch ${other.bunPackage}@${pkg.devDependencies.bun} with npm: `);
    expect(second).toContain(registry);
    expect({ status, stdout, more }).toEqual({ status: 1, stdout: "", more: [""] });
    expect(existsSync(join(root, "dist", other.name, "pause"))).toBe(false);
    expect(await readdir(cache)).toEqual([]);
  });
});
