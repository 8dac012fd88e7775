/** Fetches Debian packages of any suite and architecture with a private apt that changes nothing on the machine. */
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { aptRepositories } from "../../scripts/linux/apt.ts";
import { output } from "./command.ts";

/** Keys that Debian signs its suites with, from the package debian-archive-keyring. */
const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Other names than the code name by which a machine may refer to its suite. */
const ALIASES = ["stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"];

/** What is fetched. */
export interface AptOptions {
  /** As Debian names it, like `arm64`; default: the machine's. */
  readonly architecture?: string;
  /** Code name like `bookworm` or `sid`: its main, with sources; default: the repositories that the machine uses. */
  readonly suite?: string;
}

/** The Debian mirrors that this machine's apt uses, without a trailing slash. Throws if there is none. */
export async function debianMirrors(): Promise<[string, ...string[]]> {
  const release = await Bun.file("/etc/os-release").text();
  const suites = [release.match(/^VERSION_CODENAME=(.*)$/m)?.[1], ...ALIASES];
  const repositories = (await aptRepositories()).filter(({ suite }) => suites.includes(suite));
  const [first, ...others] = new Set(repositories.map(({ site }) => site));
  if (first === undefined) throw new Error("apt on this machine is not set up with a mirror of Debian");
  return [first, ...others];
}

/** An apt with lists, cache and downloads in one folder. It knows the machine's proxies, certificates and transports. */
export class Apt {
  /** The folder that holds everything; the caller removes it. */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Sets one up in `folder`, which is made if need be, and fetches the lists. Throws with apt's messages. */
  static async open(folder: string, { architecture, suite }: AptOptions = {}): Promise<Apt> {
    for (const name of ["lists/partial", "cache/archives/partial"])
      await mkdir(join(folder, name), { recursive: true });
    const settings: Record<string, string> = {
      ...(architecture === undefined ? {} : { "APT::Architecture": architecture, "APT::Architectures": architecture }),
      "APT::Sandbox::User": "root",
      "Dir::State::lists": join(folder, "lists"),
      "Dir::Cache": join(folder, "cache"),
      "Dir::State::status": "/dev/null",
    };
    if (suite !== undefined) {
      const signed = (await Bun.file(KEYS).exists()) ? `[signed-by=${KEYS}] ` : "";
      const [mirror] = await debianMirrors();
      const lines = ["deb", "deb-src"].map((type) => `${type} ${signed}${mirror} ${suite} main\n`);
      await Bun.write(join(folder, "sources.list"), lines.join(""));
      settings["Dir::Etc::sourcelist"] = join(folder, "sources.list");
      settings["Dir::Etc::sourceparts"] = "/dev/null";
    }
    const lines = Object.entries(settings).map(([key, value]) => `${key} "${value}";\n`);
    await Bun.write(join(folder, "apt.conf"), lines.join(""));
    const apt = new Apt(folder);
    await apt.run("apt-get", "update", "-q");
    return apt;
  }

  /** Runs one of apt's commands in the folder and returns what it wrote. Throws with its messages if it fails. */
  run(...command: readonly string[]): Promise<string> {
    return output(command, { cwd: this.folder, env: { APT_CONFIG: join(this.folder, "apt.conf") } });
  }

  /** Downloads packages without their dependencies, and unpacks their files below `root`, which is made if need be. */
  async unpack(names: readonly string[], root: string): Promise<void> {
    await this.run("apt-get", "download", "-q", ...names);
    const downloads = (await readdir(this.folder)).filter((name) => name.endsWith(".deb"));
    const wanted = downloads.filter((name) => names.includes(name.slice(0, name.indexOf("_"))));
    for (const name of wanted) await this.run("dpkg-deb", "-x", name, root);
  }

  /**
   * Downloads packages with their dependencies, and unpacks their files below `root`, which is made if need be: a root
   * file system in which no package has been configured. /bin, /lib, /lib64 and /sbin become links to those in /usr.
   */
  async root(names: readonly string[], root: string): Promise<void> {
    await this.run("apt-get", "install", "-q", "-y", "--download-only", "--no-install-recommends", ...names);
    for (const name of ["bin", "lib", "lib64", "sbin"]) {
      await mkdir(join(root, "usr", name), { recursive: true });
      await symlink(join("usr", name), join(root, name));
    }
    const unpack =
      'for file in cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink -C "$1"; done';
    await this.run("sh", "-ec", unpack, "unpack", root);
  }

  /**
   * Downloads and unpacks a source package of the suite, patched, and returns its version and the tree.
   * Needs dpkg-source (package dpkg-dev).
   */
  async source(name: string): Promise<{ readonly version: string; readonly tree: string }> {
    const versions = await this.run("apt-cache", "showsrc", "--only-source", name);
    const version = versions.match(/^Version: (.*)$/m)?.[1];
    if (version === undefined) throw new Error(`there is no source package ${name}`);
    await this.run("apt-get", "source", "-q", "--download-only", `${name}=${version}`);
    const [description = ""] = (await readdir(this.folder)).filter(
      (file) => file.startsWith(`${name}_`) && file.endsWith(".dsc"),
    );
    const tree = join(this.folder, `source-${name}`);
    await this.run("dpkg-source", "--no-check", "-x", description, tree);
    return { version, tree };
  }
}
