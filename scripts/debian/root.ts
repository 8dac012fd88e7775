/** Root file systems of Debian, kept for a week: `bun scripts/debian/root.ts SUITE [PACKAGE ...]` prints the path of one. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { KEPT, kept } from "../command/kept.ts";
import { messageOf } from "../command/report.ts";
import { output } from "../command/run.ts";
import { debianMirror } from "./apt.ts";

const WEEK = 7 * 24 * 3600 * 1000;

/**
 * The path of a root of a Debian suite, as small as Debian allows, with `packages`: sid's change daily, and one download a
 * week is enough. If it cannot be installed, the newest earlier root is used, with a line on standard error. It must not be
 * written to. Throws an InputError with debootstrap's messages if there is none.
 */
export async function debianRoot(suite: string, packages: readonly string[] = []): Promise<string> {
  const list = Bun.hash(packages.join()).toString(36);
  const before = async () => {
    const names = await readdir(KEPT).catch((): string[] => []);
    return names.filter((name) => new RegExp(`^debian-${suite}-\\d+-${list}$`).test(name)).sort();
  };
  try {
    const name = `debian-${suite}-${Math.floor(Date.now() / WEEK)}-${list}`;
    const root = await kept(join(KEPT, name), async (folder) => {
      const path = join(folder, name);
      console.error(`downloading Debian ${suite}, once a week: this takes two minutes`);
      const include = packages.length > 0 ? [`--include=${packages.join(",")}`] : [];
      await output(["debootstrap", "--variant=minbase", ...include, suite, path, await debianMirror()]);
      await rm(join(path, "var", "cache", "apt"), { recursive: true });
      return path;
    });
    // Last week's stays, for a run that began then.
    for (const name of (await before()).slice(0, -2)) await rm(join(KEPT, name), { recursive: true, force: true });
    return root;
  } catch (error) {
    const newest = (await before()).at(-1);
    if (newest === undefined) throw error;
    console.error(`Debian ${suite} cannot be installed now: ${newest} is used`);
    return join(KEPT, newest);
  }
}

if (import.meta.main) {
  const [suite = "", ...packages] = process.argv.slice(2);
  try {
    console.log(await debianRoot(suite, packages));
  } catch (error) {
    console.error(`error: Debian ${suite} cannot be installed now, and none is kept: ${messageOf(error)}`);
    process.exit(69); // EX_UNAVAILABLE
  }
}
