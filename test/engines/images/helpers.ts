/** The images that the tests of the image need besides it, made from what this machine has. */
import { chmod, cp, mkdir, mkdtemp, realpath, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { digestOf } from "../../../scripts/oci.ts";
import type { Platform } from "../../../scripts/platforms.ts";
import { CACHE } from "../../../scripts/runtime.ts";

const ROOT = join(import.meta.dir, "..", "..", "..");

/** An image in a file that `load` takes. */
export interface HelperImage {
  readonly archive: string;
  readonly reference: string;
}

/** Runs a command that must succeed and returns what it wrote. */
async function output(command: readonly string[], cwd = ROOT): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}

/** Makes `root` the only layer of an image. */
async function imageOf(root: string, reference: string, config: object): Promise<HelperImage> {
  const work = dirname(root);
  await output(["tar", "-C", root, "--owner=0", "--group=0", "--numeric-owner", "-cf", join(work, "layer.tar"), "."]);
  const layer = digestOf(await Bun.file(join(work, "layer.tar")).bytes());
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const image = { architecture, os: "linux", config, rootfs: { type: "layers", diff_ids: [layer] }, history: [{}] };
  await Bun.write(join(work, "config.json"), JSON.stringify(image));
  const manifest = [{ Config: "config.json", RepoTags: [reference], Layers: ["layer.tar"] }];
  await Bun.write(join(work, "manifest.json"), JSON.stringify(manifest));
  await output(["tar", "-C", work, "-cf", join(work, "image.tar"), "manifest.json", "config.json", "layer.tar"]);
  return { archive: join(work, "image.tar"), reference };
}

/** A new folder below `folder` with /bin full of busybox. */
async function busyboxRoot(folder: string): Promise<string> {
  const root = join(await mkdtemp(join(folder, "helper-")), "root");
  await mkdir(join(root, "bin"), { recursive: true });
  await mkdir(join(root, "tmp"));
  await cp(Bun.which("busybox") ?? "", join(root, "bin", "busybox"));
  for (const name of (await output(["busybox", "--list"])).trim().split("\n")) {
    if (name !== "busybox") await symlink("busybox", join(root, "bin", name));
  }
  return root;
}

/** An image with a shell, for the orphan of the smoke test. */
export async function shellImage(folder: string): Promise<HelperImage> {
  return imageOf(await busyboxRoot(folder), "localhost/shell:test", { Env: ["PATH=/bin"] });
}

/**
 * A builder for the Containerfile that needs no network: Node and npm of this machine, npm's cache with the
 * packages of package-lock.json and the runtimes of `platforms`, and a Debian mirror with the pinned libc6.
 */
export async function builderImage(folder: string, platforms: readonly Platform[]): Promise<HelperImage> {
  const root = await busyboxRoot(folder);
  const node = await realpath(Bun.which("node") ?? "");
  const npm = dirname(dirname(await realpath(Bun.which("npm") ?? "")));
  await cp(node, join(root, "bin", "node"));
  await cp(npm, join(root, "lib", "node_modules", "npm"), { recursive: true });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(root, "bin", "npm"));
  await mkdir(join(root, "usr"));
  await symlink("../bin", join(root, "usr", "bin"));
  for (const executable of [node, process.execPath]) {
    for (const [, library = ""] of (await output(["ldd", executable])).matchAll(/(\/\S+) \(0x/g)) {
      await cp(await realpath(library), join(root, library));
    }
  }
  const cache = join(root, "npm-cache");
  const project = await mkdtemp(join(dirname(root), "project-"));
  for (const name of ["package.json", "package-lock.json"]) await cp(join(ROOT, name), join(project, name));
  await output(["npm", "ci", "--ignore-scripts", "--cache", cache, "--prefer-offline"], project);
  const { version } = (await Bun.file(join(ROOT, "node_modules", "bun", "package.json")).json()) as { version: string };
  for (const { runtimePackage } of platforms) {
    await output(["npm", "pack", `${runtimePackage}@${version}`, "--dry-run", "--cache", cache], project);
  }
  const pool = join(root, "debian", "pool", "main", "g", "glibc");
  await cp(CACHE, pool, { recursive: true, filter: (path) => path === CACHE || path.endsWith(".deb") });
  await chmod(join(root, "tmp"), 0o1777);
  return imageOf(root, "localhost/builder:test", {
    Env: [
      ...["PATH=/bin", "HOME=/root", "DEBIAN_MIRROR=file:///debian", "npm_config_cache=/npm-cache"],
      ...[
        "npm_config_offline=true",
        `npm_config_registry=${(await output(["npm", "config", "get", "registry"])).trim()}`,
      ],
    ],
  });
}
