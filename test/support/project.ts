/** Runs the project's scripts, in place or in a copy of the project, for the tests. */
import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";

/** How a script ended and what it said. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `scripts/image.ts` of the project in `root` with `args` and these environment variables besides. */
export async function image(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  root = ROOT,
  wrapper: readonly string[] = [],
): Promise<Outcome> {
  const child = Bun.spawn([...wrapper, process.execPath, join(root, "scripts", "image.ts"), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { status, stdout, stderr };
}

/** Copies what the image is built from to the new folder `path`, with the packages that are installed here, and with or without the downloads that are kept. */
export async function copyProject(path: string, { downloads }: { readonly downloads: boolean }): Promise<void> {
  await mkdir(path, { recursive: true });
  const sources = ["src", "scripts", "package.json", "package-lock.json", "tsconfig.json", "bunfig.toml"];
  for (const name of sources) await cp(join(ROOT, name), join(path, name), { recursive: true });
  await mkdir(join(path, "node_modules"));
  for (const name of await readdir(join(ROOT, "node_modules"))) {
    if (downloads || name !== ".cache")
      await symlink(join(ROOT, "node_modules", name), join(path, "node_modules", name));
  }
}
