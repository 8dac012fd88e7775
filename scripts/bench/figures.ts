/** Everything that the bench measures, figure by figure. */
import { stat } from "node:fs/promises";
import { progress } from "../command/report.ts";
import { type Cold, type ColdStarts, coldStarts, READ_AHEAD } from "./cold.ts";
import { instructions } from "./instructions.ts";
import { type Program, withUnpacked } from "./programs.ts";
import { type Crowd, crowds, rest, type Weight } from "./rest.ts";
import { readyTime, type Start, versionTime } from "./start.ts";
import { interleaved, type Summary, summary } from "./statistics.ts";
import { BURST, type Storm, storms } from "./storm.ts";

/** How much is measured. */
export interface Extent {
  /** Starts of each kind and program. */
  readonly rounds: number;
  /** Cold starts of each kind, program and read-ahead. */
  readonly cold: number;
  /** Seconds at rest. */
  readonly rest: number;
  /** Orphans for each program, in all. */
  readonly orphans: number;
  /** How many instances are weighed together, in rising order. */
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

/** A program of which it can be seen when it is ready. */
type Visible = Program & Required<Pick<Program, "ready">>;

/** Starts of each of `programs` until it is ready, in turns; `what` is what the terminal shows. */
function readyStarts(programs: readonly Visible[], rounds: number, what: string): Promise<Start[][]> {
  return interleaved(
    programs.map((program) => readyTime(program, program.ready)),
    rounds,
    (done) => progress(`${what}: ${done} of ${rounds}`),
  );
}

/** Starts: `-v`, and until ready. */
async function startFigures(programs: readonly Program[], rounds: number): Promise<Figure[]> {
  const versions = programs.filter((program) => program.version);
  const versionTimes = await interleaved(versions.map(versionTime), rounds, (done) =>
    progress(`-v: ${done} of ${rounds}`),
  );
  const visible = programs.flatMap((program) => (program.ready ? [{ ...program, ready: program.ready }] : []));
  const starts = await readyStarts(visible, rounds, "ready");
  const unpacked = await withUnpacked(visible, (copies) => readyStarts(copies, rounds, "ready, unpacked"));
  const ready = (name: string, from: readonly Start[][], key: keyof Start) =>
    figure(name, visible, from, (values) => values.map((start) => start[key]));
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
  const visible = programs.filter(({ ready }) => ready);
  progress(`cold: ${rounds} starts of each kind`);
  const results = await coldStarts(visible, rounds);
  if (!results) return [];
  return READ_AHEAD.flatMap((kib) => {
    const cold = (name: string, kind: keyof ColdStarts, key: keyof Cold) =>
      figure(`cold, read-ahead of ${kib} KiB: ${name}`, visible, results[kib] ?? [], (starts) =>
        starts[kind].map((start) => start[key]),
      );
    return [
      cold("`-v`, ms", "version", "time"),
      cold("read for `-v`, KiB", "version", "read"),
      cold("ready, ms", "ready", "time"),
      cold("read to ready, KiB", "ready", "read"),
    ];
  });
}

/** Starts of each program under perf. */
const COUNTED = 10;

/** Instructions of a start; no figure where perf does not count. */
async function instructionFigures(programs: readonly Program[]): Promise<Figure[]> {
  const visible: Program[] = [];
  for (const program of programs) if ((await instructions(program)) !== undefined) visible.push(program);
  const counts = await interleaved(
    visible.map((program) => async () => (await instructions(program)) ?? Number.NaN),
    COUNTED,
  );
  return visible.length > 0 ? [figure("instructions to ready", visible, counts, (values) => values)] : [];
}

/** What they weigh, alone and in numbers. */
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
    weight("RssFile, KiB", "file"),
    weight("page tables, KiB", "pageTables"),
    ...instances.map((count, index) => weight(`PSS, each of ${count}, KiB`, "pss", index)),
    ...instances.map((count, index) =>
      of(`charged by the memory cgroup, each of ${count}, KiB`, index, ({ charged }) => [charged]),
    ),
  ].filter(({ values }) => Object.keys(values).length > 0);
}

/** How quiet they are. */
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

/** How they reap. */
async function stormFigures(programs: readonly Program[], storm: string, orphans: number): Promise<Figure[]> {
  const each = Math.ceil(orphans / STORMS);
  const rounds = Math.ceil(orphans / each);
  const results = await storms(programs, storm, each, rounds, (done) =>
    progress(`orphans: ${done * each} of ${orphans}`),
  );
  const of = (name: string, values: (storm: Storm) => readonly number[]) => figure(name, programs, results, values);
  const total = `${each * rounds} orphans in bursts of ${BURST}`;
  return [
    of(`${total}: time for each ${each}, ms`, ({ times }) => times),
    of("orphans reaped in a second", ({ times }) => times.map((time) => (each / time) * 1000)),
    of("longest a zombie was seen, ms", ({ zombies }) => [Math.max(...zombies)]),
    of("RSS afterwards, more than before, KiB", ({ before, after }) => [after.rss - before.rss]),
    of("threads right afterwards", ({ threadsAtOnce }) => [threadsAtOnce]),
    of("threads at most 15 s later", ({ threads }) => [threads]),
  ];
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
    ...(await instructionFigures(programs)),
    ...(await weightFigures(resting, extent.instances)),
    ...(await restFigures(resting, extent.rest)),
    ...(storm ? await stormFigures(resting, storm, extent.orphans) : []),
    bytes("executable, bytes", sizes),
    ...(image ? [bytes("image archive, bytes", [(await stat(image)).size])] : []),
  ];
}
