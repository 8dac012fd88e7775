/** Downloads with apt: it knows the machine's mirrors, proxies, certificates and transports, and checks Debian's signatures. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError, withProgress } from "../command/report.ts";
import { aptRepositories } from "../linux/apt.ts";

/** Apt's own downloader. */
const APT_HELPER = "/usr/lib/apt/apt-helper";

/** The keys that Debian signs its releases with, from the package debian-archive-keyring. */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** A mirror does not have what was asked for. */
export class NotThere extends InputError {}

/** Options that make apt give up on a mirror that has sent nothing for `patience` milliseconds. */
function patient(patience: number): string[] {
  const seconds = Math.ceil(patience / 1000);
  return [`Acquire::http::Timeout=${seconds}`, `Acquire::https::Timeout=${seconds}`, "Acquire::Retries=0"].flatMap(
    (setting) => ["-o", setting],
  );
}

/** Runs `command`, one of apt's, in English in `folder`. */
async function run(
  command: readonly string[],
  folder = "/",
): Promise<{ out: string; reasons: string[]; status: number }> {
  const apt = Bun.spawn([...command], {
    cwd: folder,
    env: { ...process.env, LC_ALL: "C" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, trouble, status] = await Promise.all([apt.stdout.text(), apt.stderr.text(), apt.exited]);
  return { out, reasons: [...trouble.matchAll(/^E: (.*)$/gm)].map(([, reason = ""]) => reason), status };
}

/** Whether this machine has apt. */
export function hasApt(): boolean {
  return Bun.which("apt-get") !== null && existsSync(APT_HELPER);
}

/** The mirrors that apt is configured with, without a trailing slash: none without apt. */
export async function mirrorsOfApt(): Promise<string[]> {
  if (!hasApt()) return [];
  return [...new Set((await aptRepositories()).map(({ site }) => site))];
}

/**
 * Downloads `url` to `path`.
 *
 * @param patience how long the mirror may send nothing, in milliseconds
 *
 * Throws an InputError with apt's reason: a NotThere if the mirror has no such file.
 */
export async function downloadByApt(url: string, path: string, patience: number): Promise<void> {
  const { reasons, status } = await run([APT_HELPER, ...patient(patience), "download-file", url, path]);
  if (status === 0) return;
  const reason = reasons[0]?.replace(/^Failed to fetch \S+\s+/, "") ?? `apt-helper ended with status ${status}`;
  throw /\b404\b|File not found|No such file/.test(reason) ? new NotThere(reason) : new InputError(reason);
}

/** A configuration with which apt keeps all its files in `folder` and trusts only what is signed. */
function settings(folder: string, architecture: string): string {
  const values = {
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    "Dir::State": join(folder, "state"),
    "Dir::State::status": "/dev/null",
    "Dir::Cache": join(folder, "cache"),
    "Dir::Etc::SourceList": join(folder, "sources.list"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::Etc::Preferences": "/dev/null",
    "Dir::Etc::PreferencesParts": "/dev/null",
    "Acquire::Languages": "none",
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "APT::Get::AllowUnauthenticated": "false",
    "APT::Sandbox::User": "root",
  };
  // The machine's update hooks are for its own indexes. Lists are cleared first: a setting would only append to them.
  const cleared = ["APT::Architectures", "APT::Update::Pre-Invoke", "APT::Update::Post-Invoke"];
  return [
    ...[...cleared, "APT::Update::Post-Invoke-Success"].map((name) => `#clear ${name};`),
    ...Object.entries(values).map(([name, value]) => `${name} "${value}";`),
    "",
  ].join("\n");
}

/**
 * Downloads to `folder`, which must be empty, the newest version of a package according to the signed indexes of a
 * Debian release, its updates and its security updates.
 *
 * @param name of the package
 * @param codename of the release, like `trixie`
 * @param mirrors where to fetch them; one that ends with `/debian` may have a sibling `/debian-security`
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
  for (const path of ["state/lists/partial", "cache/archives/partial"])
    await mkdir(join(folder, path), { recursive: true });
  const sites = new Set(mirrors.flatMap((site) => [site, site.replace(/\/debian$/, "/debian-security")]));
  const suites = ["", "-updates", "-security"].map((suffix) => `${codename}${suffix}`);
  const sources = [...sites].flatMap((site) =>
    suites.map((suite) => `deb [signed-by=${keyring}] ${site} ${suite} main\n`),
  );
  await Bun.write(join(folder, "sources.list"), sources.join(""));
  await Bun.write(join(folder, "apt.conf"), settings(folder, architecture));
  const apt = ["apt-get", "-q", "-c", join(folder, "apt.conf"), ...patient(patience)];
  const update = await withProgress(`fetching the indexes of Debian's ${codename}`, run([...apt, "update"], folder));
  const download = await withProgress(`fetching ${name}`, run([...apt, "download", name], folder));
  const [path] = await Array.fromAsync(new Bun.Glob("*.deb").scan({ cwd: folder, absolute: true }));
  if (download.status === 0 && path !== undefined) return path;
  // No mirror has all the suites.
  const reasons = [...update.reasons, ...download.reasons].filter(
    (reason) => !/does not have a Release file|Unable to locate package/.test(reason),
  );
  throw new InputError(reasons.join("; ") || `no mirror has an index of Debian's ${codename}`);
}
