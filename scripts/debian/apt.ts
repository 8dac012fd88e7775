/** A private apt: it uses the machine's mirrors, proxies, certificates and transports, and checks Debian's signatures. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError, withProgress } from "../command/report.ts";
import { type Ran, run } from "../command/run.ts";

const APT_HELPER = "/usr/lib/apt/apt-helper";

/** The keys that Debian signs its releases with, from the package debian-archive-keyring. */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Other names than the code name by which a machine may refer to its suite. */
const ALIASES = ["stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"];

/** A mirror does not have what was asked for. */
export class NotThere extends InputError {}

/** True if this machine has apt. */
export function hasApt(): boolean {
  return Bun.which("apt-get") !== null && existsSync(APT_HELPER);
}

/** The repositories of this machine's apt, each with its suite as the machine's list calls it; none without apt. */
async function repositories(): Promise<{ site: string; suite: string }[]> {
  if (!hasApt()) return [];
  const format = ["--format", "$(SITE) $(RELEASE)", "Created-By: Packages"];
  const { stdout } = await run(["apt-get", "indextargets", ...format]);
  return [...stdout.matchAll(/^(\S+?)\/* (.+)$/gm)].map(([, site = "", suite = ""]) => ({ site, suite }));
}

/** The mirrors in apt's configuration, without a slash at the end: none without apt. */
export async function mirrorsOfApt(): Promise<string[]> {
  return [...new Set((await repositories()).map(({ site }) => site))];
}

/** The mirror of Debian for this machine's release, without a slash at the end. Throws an InputError if there is none. */
export async function debianMirror(): Promise<string> {
  const release = await Bun.file("/etc/os-release").text();
  const suites = [release.match(/^VERSION_CODENAME=(.*)$/m)?.[1], ...ALIASES];
  const found = (await repositories()).find(({ suite }) => suites.includes(suite));
  if (!found) throw new InputError("apt on this machine is not set up with a mirror of Debian");
  return found.site;
}

function reasonsOf({ stderr }: Ran): string[] {
  return [...stderr.matchAll(/^E: (.*)$/gm)].map(([, reason = ""]) => reason);
}

/** Options that make apt give up on a mirror that has sent nothing for `patience` milliseconds. */
function patient(patience: number): string[] {
  const seconds = Math.ceil(patience / 1000);
  return [`Acquire::http::Timeout=${seconds}`, `Acquire::https::Timeout=${seconds}`, "Acquire::Retries=0"].flatMap(
    (setting) => ["-o", setting],
  );
}

/** The surroundings of apt in `folder`: its messages are parsed. */
const inEnglish = (cwd: string) => ({ cwd, env: { LC_ALL: "C" } });

/**
 * Downloads `url` to `path`.
 *
 * @param patience for a mirror that sends nothing, in milliseconds
 *
 * Throws an InputError with apt's reason: a NotThere if the mirror has no such file.
 */
export async function downloadByApt(url: string, path: string, patience: number): Promise<void> {
  const ran = await run([APT_HELPER, ...patient(patience), "download-file", url, path], inEnglish("/"));
  if (ran.status === 0) return;
  const reason =
    reasonsOf(ran)[0]?.replace(/^Failed to fetch \S+\s+/, "") ?? `apt-helper ended with status ${ran.status}`;
  throw /\b404\b|File not found|No such file/.test(reason) ? new NotThere(reason) : new InputError(reason);
}

/** An apt that changes nothing on the machine: lists, cache and downloads are in one folder. */
export class Apt {
  /** The folder that holds everything; the caller removes it. */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Sets one up in `folder`, which is made if need be. Its first command must be `apt-get update`.
   *
   * @param architecture as Debian names it, like `arm64`; default: the machine's
   * @param sources lines of sources.list(5), of which only signed ones are trusted; default: the machine's repositories
   */
  static async in(folder: string, architecture?: string, sources?: readonly string[]): Promise<Apt> {
    for (const path of ["state/lists/partial", "cache/archives/partial"])
      await mkdir(join(folder, path), { recursive: true });
    const settings = {
      ...(architecture && { "APT::Architecture": architecture, "APT::Architectures": architecture }),
      "APT::Sandbox::User": "root",
      "Acquire::Languages": "none",
      "Dir::Cache": join(folder, "cache"),
      "Dir::State": join(folder, "state"),
      "Dir::State::status": "/dev/null",
      ...(sources && {
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::Etc::SourceList": join(folder, "sources.list"),
        "Dir::Etc::SourceParts": "/dev/null",
      }),
    };
    // The machine's update hooks are for its own indexes. Lists are cleared first: a setting would only append to them.
    const hooks = ["APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success"];
    const cleared = [...(architecture ? ["APT::Architectures"] : []), ...hooks].map((name) => `#clear ${name};\n`);
    const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
    await Bun.write(join(folder, "apt.conf"), [...cleared, ...lines].join(""));
    await Bun.write(join(folder, "sources.list"), (sources ?? []).map((line) => `${line}\n`).join(""));
    return new Apt(folder);
  }

  /**
   * Sets one up in `folder` with the lists of a suite of Debian, `bookworm` or `sid`: its main, with sources. Without a suite
   * they are those of the machine's repositories. Throws an InputError with apt's messages.
   */
  static async open(
    folder: string,
    { suite, architecture }: { readonly suite?: string; readonly architecture?: string } = {},
  ): Promise<Apt> {
    const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : "";
    const mirror = suite === undefined ? "" : await debianMirror();
    const lines = ["deb", "deb-src"].map((type) => `${type} ${signed}${mirror} ${suite} main`);
    const apt = await Apt.in(folder, architecture, suite === undefined ? undefined : lines);
    await apt.run("apt-get", "-q", "update");
    return apt;
  }

  /** Runs a command in the folder, one of apt's with this configuration, to whatever end. */
  attempt(program: string, ...args: readonly string[]): Promise<Ran> {
    const options = program.startsWith("apt-") ? ["-c", join(this.folder, "apt.conf")] : [];
    return run([program, ...options, ...args], inEnglish(this.folder));
  }

  /** Runs a command that must succeed, and returns what it wrote. Throws an InputError with its messages otherwise. */
  async run(program: string, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.attempt(program, ...args);
    if (status !== 0) throw new InputError(`${[program, ...args].join(" ")}: status ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Downloads packages without their dependencies, and unpacks their files below `root`, which is made if need be. */
  async unpack(names: readonly string[], root: string): Promise<void> {
    await this.run("apt-get", "-q", "download", ...names);
    for (const name of await Array.fromAsync(new Bun.Glob(`{${names}}_*.deb`).scan({ cwd: this.folder })))
      await this.run("dpkg-deb", "-x", name, root);
  }
}

/**
 * Downloads to `folder`, which must be empty, the newest version of a package according to the signed indexes of a
 * Debian release, its updates and its security updates.
 *
 * @param name of the package
 * @param codename of the release, like `trixie`
 * @param mirrors to fetch them from; one that ends with `/debian` may have a sibling `/debian-security`
 * @param patience see downloadByApt
 * @param keyring the keys that may have signed the indexes
 * @returns the path of the package
 *
 * Throws an InputError that says why there is none.
 */
export async function newest(
  name: string,
  architecture: string,
  codename: string,
  mirrors: readonly string[],
  folder: string,
  patience: number,
  keyring = KEYRING,
): Promise<string> {
  if (!hasApt()) throw new InputError("there is no apt here to ask for another one");
  if (!existsSync(keyring))
    throw new InputError(`${keyring} (package debian-archive-keyring) is not here to check another one by`);
  const sites = new Set(mirrors.flatMap((site) => [site, site.replace(/\/debian$/, "/debian-security")]));
  const suites = ["", "-updates", "-security"].map((suffix) => `${codename}${suffix}`);
  const sources = [...sites].flatMap((site) =>
    suites.map((suite) => `deb [signed-by=${keyring}] ${site} ${suite} main`),
  );
  const apt = await Apt.in(folder, architecture, sources);
  const options = ["-q", ...patient(patience)];
  const updating = apt.attempt("apt-get", ...options, "update");
  const update = await withProgress(`fetching the indexes of Debian's ${codename}`, updating);
  const download = await withProgress(`fetching ${name}`, apt.attempt("apt-get", ...options, "download", name));
  const [path] = await Array.fromAsync(new Bun.Glob("*.deb").scan({ cwd: folder, absolute: true }));
  if (download.status === 0 && path !== undefined) return path;
  // No mirror has all the suites.
  const reasons = [update, download]
    .flatMap(reasonsOf)
    .filter((reason) => !/does not have a Release file|Unable to locate package/.test(reason));
  throw new InputError(reasons.join("; ") || `no mirror has an index of Debian's ${codename}`);
}
