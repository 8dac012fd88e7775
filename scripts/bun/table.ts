/** What tells releases of Bun apart: figures of an executable that is built with each. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError, withProgress } from "../command/report.ts";
import { run } from "../command/run.ts";
import { npm } from "../executable/bun.ts";
import { hostPlatform } from "../executable/platforms.ts";
import { isReady, status, until } from "../linux/proc.ts";

/** The columns. Times are ratios to an empty program that is compiled by the same release. */
export const HEADING: string[] = [
  "Bun",
  "`/pause`, MB",
  "image, MB",
  "`-v`",
  "ready",
  "processor time to ready",
  "page faults to ready",
  "RssAnon, KiB",
  "VmPeak, MB",
  "tests passed",
];

/** Returns the median of the figure `name` of pause-ts, and of the empty program, in the table that the bench prints. Throws an InputError if it is not there. */
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

/** Returns the row of `release`, with which the copy `project` of the project is built. Throws an InputError if anything fails. */
export async function rowOf(release: string, project: string): Promise<string[]> {
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
  const ratio = (name: string): string => {
    const [ours, empty] = figure(bench, name);
    return (ours / empty).toFixed(2);
  };
  return [
    release,
    mb((await stat(path)).size),
    mb(Number(/^linux-\w+: (\d+) bytes/m.exec(image)?.[1])),
    ratio("`-v`, ms"),
    ratio("ready, ms"),
    ratio("processor time to ready, ms"),
    `${figure(bench, "page faults to ready")[0]}`,
    `${figure(bench, "RssAnon, KiB")[0]}`,
    mb((await peakOf(path)) * 1024),
    `${count("pass")} of ${count("pass") + count("fail")}`,
  ];
}
