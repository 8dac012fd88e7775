/** The image for the Containerfile's first stage, made from what is on this machine. */
import { chmod, cp, mkdir, mkdtemp, readdir, realpath, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CACHE } from "../../../scripts/command/kept.ts";
import { ROOT } from "../../../scripts/command/project.ts";
import { output } from "../../../scripts/command/run.ts";
import type { Platform } from "../../../scripts/executable/platforms.ts";

import { busyboxRoot, type Image, imageOf } from "../images.ts";

/** Puts every Debian package that `npm run image` has fetched into a mirror at `root`. */
async function fillMirror(root: string): Promise<void> {
  for (const name of (await readdir(CACHE)).filter((file) => file.endsWith(".deb"))) {
    const fields = await output(["dpkg-deb", "--field", join(CACHE, name), "Source", "Package"]);
    const source = /^Source: (\S+)/m.exec(fields)?.[1] ?? /^Package: (\S+)/m.exec(fields)?.[1] ?? "";
    const initial = source.startsWith("lib") ? source.slice(0, 4) : source.slice(0, 1);
    await cp(join(CACHE, name), join(root, "pool", "main", initial, source, name), { recursive: true });
  }
}

/**
 * A builder for the Containerfile that needs no network: this machine's Node and npm, npm's cache with the packages of
 * package-lock.json and the runtimes for `platforms`, and a Debian mirror with the pinned libc6.
 */
export async function builderImage(folder: string, platforms: readonly Platform[]): Promise<Image> {
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
  await output(["npm", "ci", "--ignore-scripts", "--cache", cache, "--prefer-offline"], { cwd: project });
  const { version } = (await Bun.file(join(ROOT, "node_modules", "bun", "package.json")).json()) as { version: string };
  for (const { bunPackage } of platforms) {
    await output(["npm", "pack", `${bunPackage}@${version}`, "--dry-run", "--cache", cache], { cwd: project });
  }
  await fillMirror(join(root, "debian"));
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
