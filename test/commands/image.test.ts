/** The refusals of `npm run image`, in one line, before it compiles or fetches anything; image names and labels. */
import { describe, expect, test } from "bun:test";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json";
import { ROOT } from "../../scripts/command/project.ts";
import { InputError } from "../../scripts/command/report.ts";
import { output, type Ran } from "../../scripts/command/run.ts";
import { downloadByApt, hasApt } from "../../scripts/debian/apt.ts";
import { Elf } from "../../scripts/executable/elf.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { LIBC6 } from "../../scripts/image/debian.ts";
import { mirrorAt } from "../../scripts/image/libc.ts";
import { parseReference } from "../../scripts/image/name.ts";
import { labels } from "../../scripts/image/provenance.ts";
import { evaluate, freshProject, image, POOL } from "../support/project.ts";
import { NEEDS_LOOPBACK, notInstalled, testUnless } from "../support/skip.ts";
import { temporary } from "../support/temporary.ts";

/** Any time. */
const TIME = { SOURCE_DATE_EPOCH: "1" };

/** Expects one line on standard error that matches `what`, and nothing in the folder `where` but `kept`. */
async function expectRefusal(ran: Ran, what: RegExp, where: string, kept: readonly string[] = []): Promise<void> {
  expect(ran.stderr).toMatch(what);
  expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect([ran.stdout, ran.status]).toEqual(["", 1]);
  expect(await readdir(where)).toEqual([...kept]);
}

test("what is not an ELF file is refused", () => {
  expect(() => new Elf(new TextEncoder().encode("#!/bin/sh\n"), "/pause")).toThrow("/pause is not a 64-bit ELF file");
});

test("image names get the registry and the tag that container engines give them, and Docker's short name; a mirror's address may have trailing slashes", () => {
  for (const [name, canonical, familiar = canonical] of [
    ["pause-ts", "docker.io/library/pause-ts:latest", "pause-ts:latest"],
    ["docker.io/library/pause-ts:1", "docker.io/library/pause-ts:1", "pause-ts:1"],
    ["docker.io/myorg/pause-ts:1.0", "docker.io/myorg/pause-ts:1.0", "myorg/pause-ts:1.0"],
    ["localhost/pause-ts:1.0", "localhost/pause-ts:1.0"],
    ["registry.example:5000/a/b:1", "registry.example:5000/a/b:1"],
  ] as const)
    expect(parseReference(name)).toMatchObject({ canonical, familiar });
  expect(mirrorAt("https://deb.example/debian//")).toBe("https://deb.example/debian");
});

describe("bad input is one line, and nothing is written", () => {
  test.each([
    ["--compression xz", /unknown compression "xz": it is one of gzip, zstd/],
    ["--tag Pause:1", /"Pause:1" is not an image name/],
    ["--debian-mirror deb.example/debian", /"deb.example\/debian" is not the http, https/],
    ["--libc6 /nonexistent.deb", /^error: --libc6 \/nonexistent.deb: /],
    ["--libc6 LICENSE", /^error: --libc6 LICENSE: it is not a Debian package/],
    ["--source here", /^error: --source "here" is not a URL/],
    ["--rootfs x --platform linux/amd64,linux/arm64", /takes one --platform/],
  ])("%s", async (args, what) => {
    const where = temporary("bad");
    await expectRefusal(await image(["--output", join(where, "a.tar"), ...args.split(" ")]), what, where);
  });

  test("a time that is not a number", async () => {
    const where = temporary("bad");
    const ran = await image(["--output", join(where, "a.tar")], { SOURCE_DATE_EPOCH: "yesterday" });
    await expectRefusal(ran, /SOURCE_DATE_EPOCH is "yesterday"/, where);
  });

  test("a file where the folder should be", async () => {
    const where = temporary("bad");
    await Bun.write(join(where, "dist"), "");
    const ran = await image(["--output", join(where, "dist", "a.tar")]);
    await expectRefusal(ran, /^error: cannot write to .*dist/, where, ["dist"]);
  });

  test("a root filesystem that exists already", async () => {
    const where = temporary("bad");
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

for (const [remote, source] of [
  ["https://user:secret@git.example:8443/pause-ts.git?token=secret", "https://git.example:8443/pause-ts.git"],
  ["git@git.example:pause-ts.git", undefined],
  ["/srv/git/pause-ts.git", undefined],
] as const) {
  testUnless(notInstalled("git"), `the sources are said to be at ${source} if git's origin is ${remote}`, async () => {
    const { root } = await freshProject();
    await output(["git", "init", "--quiet", root]);
    await output(["git", "-C", root, "config", "remote.origin.url", remote]);
    const code = `import { provenance } from "./scripts/image/provenance.ts";
      console.log(JSON.stringify(await provenance("abc")));`;
    const { stdout, stderr } = await evaluate(code, root, TIME);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ time: 1, revision: "abc", ...(source && { source }) });
  });
}

describe("a Debian mirror", () => {
  const { architecture, name: platform } = hostPlatform();
  const name = `libc6_${LIBC6.version}_${architecture}.deb`;

  test.each([
    [
      "without the pinned version and without a signed index of the release is named with both reasons",
      false,
      TIME,
      hasApt()
        ? /cannot fetch libc6 .*; nor any newer one: (no mirror has an index of Debian's trixie|.*debian-archive-keyring.*); name another mirror .* --libc6 FILE/
        : /cannot fetch libc6 .*; nor any newer one: there is no apt here.*; name another mirror .* --libc6 FILE/,
    ],
    ["with another file under that name is refused", true, TIME, /: SHA-256 is \w{64}, the project pins \w{64}/],
    ["is not asked if the image's time is unknown", false, { SOURCE_DATE_EPOCH: "" }, /set SOURCE_DATE_EPOCH/],
  ] as const)("%s", async (_, present, time, what) => {
    const { root, cache, where, mirror } = await freshProject();
    if (present) await Bun.write(join(mirror, POOL, name), "not the package");
    const options = ["--output", join(where, "a.tar"), "--platform", platform, "--debian-mirror", `file://${mirror}`];
    await expectRefusal(await image(options, time, root), what, where);
    expect(await readdir(cache).catch(() => [])).toEqual([]);
  });

  /** A mirror that answers with `fetch` until it is disposed of; without `fetch` it accepts connections and sends nothing. */
  function serve(fetch?: () => Response): { url: string } & Disposable {
    const server = fetch
      ? Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch })
      : Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    return { url: `http://127.0.0.1:${server.port}/debian`, [Symbol.dispose]: () => void server.stop(true) };
  }

  const halfAnswer = () =>
    new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1000)) }));
  for (const [title, fetch, answer, patience] of [
    ["that sends nothing is given up, and its address named", undefined, "sent nothing for 0.5 s", 500],
    ["that stops in the middle is given up, and its address named", halfAnswer, "sent nothing for 0.5 s", 500],
    ["that sends another file is named", () => new Response("<html>"), "SHA-256 is \\w{64}, the project pins", 20_000],
    ["that fails is named", () => new Response("", { status: 503 }), "503 Service Unavailable", 20_000],
  ] as const) {
    testUnless(NEEDS_LOOPBACK, title, async () => {
      using mirror = serve(fetch);
      const { root } = await freshProject();
      const code = `import { libc6 } from "./scripts/image/libc.ts";
        import { hostPlatform } from "./scripts/executable/platforms.ts";
        import { fail } from "./scripts/command/report.ts";
        await libc6(hostPlatform(), { mirror: "${mirror.url}", patience: ${patience} }).catch(fail);`;
      const { status, stderr } = await evaluate(code, root, { NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" });
      const address = `${mirror.url}/${POOL}/${RegExp.escape(name)}`;
      expect(stderr).toMatch(
        new RegExp(`^error: cannot fetch libc6 .*: ${address}: ${answer}.*; name another mirror .*\\n$`),
      );
      expect(status).toBe(1);
    });
  }

  testUnless(NEEDS_LOOPBACK ?? (!hasApt() && "there is no apt"), "is given up by apt too", async () => {
    using mirror = serve();
    const path = join(temporary("apt"), "a");
    await expect(downloadByApt(`${mirror.url}/a`, path, 1000)).rejects.toThrow(InputError);
  });
});
