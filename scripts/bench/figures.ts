/** Everything that the bench measures, figure by figure. */
import { stat } from "node:fs/promises";
import { progress } from "../command/report.ts";
import { type Cold, coldStarts, READ_AHEAD } from "./cold.ts";
import { DELAYS, lostSigterms } from "./early.ts";
import { type Program, withUnpacked } from "./programs.ts";
import { type Crowd, crowds, rest, type Weight } from "./rest.ts";
import { readyTime, type Start, versionTime } from "./start.ts";
import { interleaved, type Summary, summary } from "./statistics.ts";
import { BURST, type Storms, storms } from "./storm.ts";

/** The extent of all measurements. */
export interface Extent {
  /** Starts of each kind and program. */
  readonly rounds: number;
  /** Cold starts of each kind, program and read-ahead. */
  readonly cold: number;
  /** Seconds at rest. */
  readonly rest: number;
  /** Orphans for each program, in all. */
  readonly orphans: number;
  /** SIGTERMs for each program and delay. */
  readonly sigterms: number;
  /** Numbers of instances that are weighed together, in rising order. */
  readonly instances: readonly number[];
}

/** One figure of every program that has it. */
export interface Figure {
  /** With its unit. */
  readonly name: string;
  /** By the program's name. */
  readonly values: Readonly<Record<string, Summary>>;
}

/** Makes a figure of the values of `items`, one for each program; an item without values is an empty cell. */
function figure<T>(
  name: string,
  programs: readonly Program[],
  items: readonly (T | undefined)[],
  values: (item: T) => readonly (number | undefined)[],
): Figure {
  const cells: [string, Summary][] = [];
  for (const [index, { name: program }] of programs.entries()) {
    const item = items[index];
    const known = item === undefined ? [] : values(item).filter((value) => value !== undefined);
    if (known.length > 0) cells.push([program, summary(known)]);
  }
  return { name, values: Object.fromEntries(cells) };
}

/** Starts each of `programs` until it is ready, in turns; `title` is shown on the terminal. */
function readyStarts(programs: readonly Program[], rounds: number, title: string): Promise<Start[][]> {
  return interleaved(programs.map(readyTime), rounds, (done) => progress(`${title}: ${done} of ${rounds}`));
}

/** Starts: `-v`, and until ready. */
async function startFigures(programs: readonly Program[], rounds: number): Promise<Figure[]> {
  const versions = programs.filter((program) => program.version);
  const versionTimes = await interleaved(versions.map(versionTime), rounds, (done) =>
    progress(`-v: ${done} of ${rounds}`),
  );
  const starts = await readyStarts(programs, rounds, "ready");
  const unpacked = await withUnpacked(programs, (copies) => readyStarts(copies, rounds, "ready, unpacked"));
  const ready = (name: string, from: readonly Start[][], key: keyof Start) =>
    figure(name, programs, from, (values) => values.map((start) => start[key]));
  return [
    figure("`-v`, ms", versions, versionTimes, (times) => times),
    ready("ready, ms", starts, "time"),
    ready("processor time to ready, ms", starts, "cpu"),
    ready("page faults to ready", starts, "faults"),
    ready("as an engine unpacks it: ready, ms", unpacked, "time"),
    ready("as an engine unpacks it: page faults to ready", unpacked, "faults"),
  ];
}

/** Cold starts; no figure where there can be none. */
async function coldFigures(programs: readonly Program[], rounds: number): Promise<Figure[]> {
  progress(`cold: ${rounds} starts of each kind`);
  const results = rounds > 0 ? await coldStarts(programs, rounds) : undefined;
  if (!results) return [];
  return READ_AHEAD.flatMap((kib) => {
    const cold = (name: string, key: keyof Cold) =>
      figure(`cold, read-ahead of ${kib} KiB: ${name}`, programs, results[kib] ?? [], (starts) =>
        starts.map((start) => start[key]),
      );
    return [cold("ready, ms", "time"), cold("read to ready, KiB", "read")];
  });
}

/** Memory, of one and of many. */
async function weightFigures(programs: readonly Program[], instances: readonly number[]): Promise<Figure[]> {
  const all: Crowd[][] = [];
  for (const program of programs) {
    progress(`memory of ${instances.join(", ")} instances: ${program.name}`);
    all.push(await crowds(program, instances));
  }
  const of = (name: string, index: number, values: (crowd: Crowd) => readonly (number | undefined)[]) => {
    const crowds = all.map((each) => each[index]);
    return figure(name, programs, crowds, values);
  };
  const weight = (name: string, key: keyof Weight, index = instances.length - 1) =>
    of(name, index, ({ weights }) => weights.map((one) => one[key]));
  return [
    weight("RSS, KiB", "rss"),
    weight("RssAnon, KiB", "anonymous"),
    weight("page tables, KiB", "pageTables"),
    ...instances.map((count, index) => weight(`PSS, each of ${count}, KiB`, "pss", index)),
    ...instances.map((count, index) =>
      of(`charged by the memory cgroup, each of ${count}, KiB`, index, ({ charged }) => [charged]),
    ),
  ].filter(({ values }) => Object.keys(values).length > 0);
}

/** Rest: threads, descriptors, wake-ups. */
async function restFigures(programs: readonly Program[], seconds: number): Promise<Figure[]> {
  const rests = await rest(programs, seconds, (done) => progress(`at rest: ${done} of ${seconds} s`));
  return [
    figure("threads", programs, rests, ({ threads }) => [threads]),
    figure("open descriptors", programs, rests, ({ descriptors }) => [descriptors]),
    figure(`context switches in ${seconds} s`, programs, rests, ({ switches }) => [switches]),
  ];
}

/** Storms that the orphans are divided among. */
const STORMS = 10;

/** Storms of orphans. */
async function stormFigures(programs: readonly Program[], storm: string, orphans: number): Promise<Figure[]> {
  const each = Math.ceil(orphans / STORMS);
  const results = await storms(programs, storm, each, STORMS, (done) =>
    progress(`orphans: ${done * each} of ${orphans}`),
  );
  const of = (name: string, values: (storms: Storms) => readonly number[]) => figure(name, programs, results, values);
  return [
    of(`orphans reaped in a second, in bursts of ${BURST}`, ({ storms }) =>
      storms.map(({ time }) => (each / time) * 1000),
    ),
    of("processor time of PID 1 for 10,000 orphans, ms", ({ storms }) =>
      storms.map(({ cpu }) => (cpu / each) * 10_000),
    ),
    of("RSS afterwards, more than before, KiB", ({ before, after }) => [after.rss - before.rss]),
    of("threads right afterwards", ({ threads }) => [threads]),
  ];
}

/** Early SIGTERMs that pauses lose as PID 1; no figure of no rounds. */
async function sigtermFigures(programs: readonly Program[], rounds: number): Promise<Figure[]> {
  if (rounds === 0) return [];
  const pauses = programs.filter(({ version }) => version);
  const lost = await lostSigterms(pauses, rounds, {}, (done) =>
    progress(`early SIGTERMs: ${done} of ${rounds} rounds`),
  );
  const name = `lost of ${rounds * DELAYS.length} SIGTERMs to PID 1, 0 to ${DELAYS.at(-1)} ms after exec`;
  return [figure(name, pauses, lost, (counts) => [counts.reduce((sum, count) => sum + count)])];
}

/**
 * Measures everything of every program, in turns. One that ends by itself has figures of its start only.
 *
 * @param storm path of the storm; without one, or where no PID namespace can be made, its figures are left out
 * @param image path of the image archive, if there is one
 */
export async function measureAll(
  programs: readonly Program[],
  extent: Extent,
  storm: string | undefined,
  image: string | undefined,
): Promise<Figure[]> {
  const sizes = await Promise.all(programs.map(async ({ path }) => (await stat(path)).size));
  const bytes = (name: string, items: readonly (number | undefined)[]) =>
    figure(name, programs, items, (size) => [size]);
  const resting = programs.filter(({ ready }) => ready !== "ended");
  return [
    ...(await startFigures(programs, extent.rounds)),
    ...(await coldFigures(programs, extent.cold)),
    ...(await weightFigures(resting, extent.instances)),
    ...(await restFigures(resting, extent.rest)),
    ...(storm ? await stormFigures(resting, storm, extent.orphans) : []),
    ...(storm ? await sigtermFigures(resting, extent.sigterms) : []),
    bytes("executable, bytes", sizes),
    ...(image ? [bytes("image archive, bytes", [(await stat(image)).size])] : []),
  ];
}
