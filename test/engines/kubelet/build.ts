/** Builds the kubelet whose flag chooses the infra container's image, once, from Debian's source package, and keeps it. */
import { mkdir, mkdtemp, rename, rm, symlink } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Apt } from "../apt.ts";

/** The last kubelet that Debian has the sources of; dockershim, which heeds the flag, went with 1.24. */
const VERSION = "1.20.2";

/** Debian's release that has those sources, and the compiler of the same release, which builds them. */
const SUITE = "bookworm";
const COMPILER = "1.19";

/** Where Debian's packages have that compiler. */
const GOROOT = join("usr", "lib", `go-${COMPILER}`);

/** The longest that a build may take, in milliseconds: it took 9 minutes on two idle cores. */
export const KUBELET_PATIENCE = 3_600_000;

/** Where the kubelet is kept: outside the project, so that a new clone has it at once. */
function kept(): string {
  const { XDG_CACHE_HOME: cache = join(homedir(), ".cache") } = process.env;
  return join(cache, "pause-ts", `kubelet-${VERSION}`);
}

/** Runs a command that must succeed. Throws with the end of its messages otherwise. */
async function run(command: readonly string[], folder: string, env: Readonly<Record<string, string>>): Promise<void> {
  const child = Bun.spawn([...command], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdout: "ignore",
    stderr: "pipe",
  });
  const [stderr, status] = await Promise.all([child.stderr.text(), child.exited]);
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}: ${stderr.slice(-4000)}`);
}

/** Builds the kubelet in `folder` and returns its path. */
async function build(folder: string): Promise<string> {
  const apt = await Apt.open(join(folder, "apt"), { suite: SUITE });
  const compiler = join(folder, "compiler");
  await apt.unpack([`golang-${COMPILER}-go`, `golang-${COMPILER}-src`], compiler);
  const { version, tree } = await apt.source("kubernetes");
  if (!version.includes(`really${VERSION}-`)) throw new Error(`the source package has become ${version}`);
  // Its dependencies are in the tree, and its place is the one that the import paths name.
  const place = join(folder, "path", "src", "k8s.io", "kubernetes");
  await mkdir(dirname(place), { recursive: true });
  await symlink(tree, place);
  const [major = "", minor = ""] = VERSION.split(".");
  const told = { gitVersion: `v${VERSION}`, gitMajor: major, gitMinor: minor };
  const flags = Object.entries(told).map(
    ([name, value]) => `-X k8s.io/kubernetes/vendor/k8s.io/component-base/version.${name}=${value}`,
  );
  const made = join(folder, "kubelet");
  const go = join(compiler, GOROOT, "bin", "go");
  // The working folder must be known by the path through the link, or the packages below have no import path.
  await run([go, "build", "-ldflags", `-s -w ${flags.join(" ")}`, "-o", made, "./cmd/kubelet"], place, {
    GOROOT: join(compiler, GOROOT),
    GOPATH: join(folder, "path"),
    GOCACHE: join(folder, "cache"),
    GOTMPDIR: folder,
    GO111MODULE: "off",
    GOFLAGS: "",
    CGO_ENABLED: "0",
    PWD: place,
  });
  return made;
}

/**
 * Path of a kubelet 1.20 with dockershim: the one that the variable KUBELET names, or the one kept in
 * `$XDG_CACHE_HOME/pause-ts`, which the first call builds. Throws with the reason if it cannot be built.
 */
export async function kubelet(): Promise<string> {
  const { KUBELET } = process.env;
  if (KUBELET !== undefined) {
    if (await Bun.file(KUBELET).exists()) return KUBELET;
    throw new Error(`KUBELET names ${KUBELET}, which does not exist`);
  }
  const path = kept();
  if (await Bun.file(path).exists()) return path;
  await mkdir(dirname(path), { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), "pause-kubelet-"));
  try {
    const made = await build(folder);
    // Another file system may lie between the two folders: a half copy must not have the final name.
    const part = `${path}.${process.pid}.part`;
    await Bun.write(part, Bun.file(made));
    await run(["chmod", "755", part], folder, {});
    await rename(part, path);
    return path;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
