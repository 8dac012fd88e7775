/** Figures that tell releases of Bun apart, of an executable that is built with each. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError, withProgress } from "../command/report.ts";
import { run } from "../command/run.ts";
import { npm } from "../executable/bun.ts";
import { hostPlatform } from "../executable/platforms.ts";
import { isReady, status, until } from "../linux/proc.ts";

/**
 * Returns the median of the figure `name` of pause-ts, and of the empty program, in the table that the bench prints.
 * Throws an InputError if it is not there.
 */
function figure(table: string, name: string): [ours: number, empty: number] {
  const row = table.split("\n").find((line) => line.startsWith(`| ${name} `));
  const [, , ours = "", empty = ""] = row?.split("|") ?? [];
  const numbers = [ours, empty].map((cell) => Number.parseFloat(cell.replaceAll(",", "")));
  const [first = Number.NaN, second = Number.NaN] = numbers;
  if (Number.isNaN(first)) throw new InputError(`the bench has no figure ${name}`);
  return [first, second];
}

/** Returns the addresses that the program at `path` reserves until it waits, in KiB: VmPeak of proc(5). */
async function peakOf(path: string): Promise<number> {
  const pause = Bun.spawn([path], { stderr: "ignore" });
  try {
    await until("pause to wait", () => isReady(pause.pid));
    return Number.parseInt(status(pause.pid)?.["VmPeak"] ?? "", 10);
  } finally {
    pause.kill("SIGKILL");
  }
}

/**
 * Returns the cells of `release`, with which the copy `project` of the project is built, by column. A time is a ratio to an
 * empty program that is compiled by the same release. Throws an InputError if anything fails.
 */
export async function rowOf(release: string, project: string): Promise<Record<string, string>> {
  // Not the packages of the project itself, among which are another Bun and its types.
  await npm(`bun@${release}`, ["ci", "--prefer-offline"], project);
  const bun = join(project, "node_modules", ".bin", "bun");
  const make = async (what: string, args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await withProgress(
      `Bun ${release}: ${what}`,
      run([bun, ...args], { cwd: project }),
    );
    if (status === 0 || args[0] === "test") return stdout + stderr;
    throw new InputError(`Bun ${release}: ${what}: ${(stderr + stdout).trim()}`);
  };
  const image = await make("the image", ["scripts/image.ts", "--platform", hostPlatform().id]);
  const bench = await make("the bench", ["scripts/bench.ts", "--quick"]);
  const tests = await make("the tests", ["test", "--timeout", "300000", "test/contract", "test/rest", "test/security"]);

  const count = (word: string): number => Number(new RegExp(`^ *(\\d+) ${word}$`, "m").exec(tests)?.[1] ?? 0);
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);
  const path = join(project, "dist", "pause");
  const [ours, empty] = figure(bench, "processor time to ready, ms");
  return {
    Bun: release,
    "`/pause`, MB": mb((await stat(path)).size),
    "image, MB": mb(Number(/^linux-\w+: (\d+) bytes/m.exec(image)?.[1])),
    "processor time to ready": (ours / empty).toFixed(2),
    "page faults to ready": `${figure(bench, "page faults to ready")[0]}`,
    "RssAnon, KiB": `${figure(bench, "RssAnon, KiB")[0]}`,
    "VmPeak, MB": mb((await peakOf(path)) * 1024),
    "tests passed": `${count("pass")} of ${count("pass") + count("fail")}`,
  };
}
