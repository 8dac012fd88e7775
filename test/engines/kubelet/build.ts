/** Builds, once, the kubelet whose flag chooses the infra container's image, from Debian's source package, and keeps it. */
import { mkdir, readdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KEPT, kept } from "../../../scripts/command/kept.ts";
import { output } from "../../../scripts/command/run.ts";
import { Apt } from "../../../scripts/debian/apt.ts";

/** The last kubelet whose sources Debian has; dockershim, which uses the flag, was removed in 1.24. */
const VERSION = "1.20.2";

/** The Debian release that has those sources, and its compiler, which builds them. */
const SUITE = "bookworm";
const COMPILER = "1.19";

/** The longest that a build may take, in milliseconds: it took 9 minutes on two idle cores. */
export const KUBELET_PATIENCE = 3_600_000;

/** Builds the kubelet in `folder` and returns its path. */
async function build(folder: string): Promise<string> {
  console.log(`building kubelet ${VERSION}, once: this takes five to ten minutes`);
  const apt = await Apt.open(join(folder, "apt"), { suite: SUITE });
  const compiler = join(folder, "compiler");
  await apt.unpack([`golang-${COMPILER}-go`, `golang-${COMPILER}-src`], compiler);
  await apt.run("apt-get", "-q", "source", "kubernetes");
  const tree = (await readdir(apt.folder)).find((name) => name.endsWith(`really${VERSION}`));
  if (tree === undefined) throw new Error(`the source package in ${SUITE} is of another version than ${VERSION}`);
  // Its dependencies are in the tree, which has to be at the path that the import paths name.
  const place = join(folder, "path", "src", "k8s.io", "kubernetes");
  await mkdir(dirname(place), { recursive: true });
  await symlink(join(apt.folder, tree), place);
  const [major = "", minor = ""] = VERSION.split(".");
  const told = { gitVersion: `v${VERSION}`, gitMajor: major, gitMinor: minor };
  const flags = Object.entries(told).map(
    ([name, value]) => `-X k8s.io/kubernetes/vendor/k8s.io/component-base/version.${name}=${value}`,
  );
  const goRoot = join(compiler, "usr", "lib", `go-${COMPILER}`);
  // The working folder must be given by its path through the link, or the packages below it have no import path.
  const env = {
    GOROOT: goRoot,
    GOPATH: join(folder, "path"),
    GOCACHE: join(folder, "cache"),
    GOTMPDIR: folder,
    GO111MODULE: "off",
    GOFLAGS: "",
    CGO_ENABLED: "0",
    PWD: place,
  };
  const made = join(folder, "kubelet");
  const options = ["-trimpath", "-ldflags", `-s -w ${flags.join(" ")}`, "-o", made];
  await output([join(goRoot, "bin", "go"), "build", ...options, "./cmd/kubelet"], { cwd: place, env });
  return made;
}

/**
 * Path of a kubelet 1.20 with dockershim, kept in `$XDG_CACHE_HOME/pause-ts`, which the first call builds. Throws with
 * the reason if it cannot be built.
 */
export function kubelet(): Promise<string> {
  return kept(join(KEPT, `kubelet-${VERSION}`), build);
}
