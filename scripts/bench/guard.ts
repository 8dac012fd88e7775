/** The guard: the figures that must not get worse. Counts are the same on any machine; times are ratios to an empty program. */
import type { Pair } from "./programs.ts";
import { crowds, rest, type Weight } from "./rest.ts";
import { readyTime, versionTime } from "./start.ts";
import { interleaved, type Summary, summary } from "./statistics.ts";
import { storms } from "./storm.ts";

/** The largest spread, as a part of the median, at which a run's times are still compared. A quiet machine shows half of it. */
export const MOST_SPREAD = 0.2;

/** What a figure may be more than recorded, in its own unit; or the spread of the run, for times. */
type Tolerance = number | "spread";

/**
 * The guarded figures and their tolerances. What is 0 is always the same. A page more or less is a matter of where the
 * kernel put the stack and the environment; what of libc is mapped depends on how the page cache holds it.
 */
export const GUARDED = {
  "-v, ratio to an empty program": "spread",
  "ready, ratio to an empty program": "spread",
  "page faults to ready": 8,
  "RssAnon, KiB": 8,
  "RSS, KiB": 256,
  "PSS of 110, KiB": 16,
  "page tables, KiB": 8,
  threads: 0,
  "open descriptors": 0,
  "context switches in 5 s": 0,
  "RSS after a storm, more KiB": 32,
  "threads after a storm": 0,
} satisfies Record<string, Tolerance>;

/** The name of a guarded figure. */
export type Guarded = keyof typeof GUARDED;

/** A value for each guarded figure. */
export type Values = Record<Guarded, number>;

/** What one run of the guard saw. */
export interface Measured {
  readonly values: Values;
  /** How far apart the run's own times were, as a part of their median: 0.2 if most lie within 20 % of each other. */
  readonly spread: number;
}

/** Starts of each kind and program, instances that are weighed together, orphans of each of the storms. */
const [ROUNDS, INSTANCES, ORPHANS, STORMS] = [200, 110, 1000, 10];

/** How far the 10th and the 90th percentile are apart, as a part of the median. */
const spreadOf = ({ low, median, high }: Summary): number => (high - low) / median;

/** Measures every guarded figure once: some 20 s. `storm` is the path of the storm, see compileStorm. */
export async function measureGuarded({ ours, floor }: Pair, storm: string): Promise<Measured> {
  const both = [ours, floor];
  const [version, floorVersion] = (await interleaved(both.map(versionTime), ROUNDS)).map(summary);
  const starts = await interleaved(
    both.map((program) => readyTime(program, program.ready ?? [])),
    ROUNDS,
  );
  const [ready, floorReady] = starts.map((values) => summary(values.map(({ time }) => time)));
  const [quiet] = await rest([ours], 5);
  const [crowd] = await crowds(ours, [INSTANCES]);
  const [stormy] = await storms([ours], storm, ORPHANS, STORMS);
  if (!version || !floorVersion || !ready || !floorReady || !quiet || !crowd || !stormy) {
    throw new Error("unreachable: each measures what it is given");
  }
  const median = (key: keyof Weight) => summary(crowd.weights.map((weight) => weight[key] ?? Number.NaN)).median;
  return {
    spread: Math.max(spreadOf(floorVersion), spreadOf(floorReady)),
    values: {
      "-v, ratio to an empty program": version.median / floorVersion.median,
      "ready, ratio to an empty program": ready.median / floorReady.median,
      "page faults to ready": summary(starts[0]?.map(({ faults }) => faults) ?? []).median,
      "RssAnon, KiB": median("anonymous"),
      "RSS, KiB": median("rss"),
      "PSS of 110, KiB": median("pss"),
      "page tables, KiB": median("pageTables"),
      threads: quiet.threads,
      "open descriptors": quiet.descriptors ?? Number.NaN,
      "context switches in 5 s": quiet.switches,
      "RSS after a storm, more KiB": stormy.after.rss - stormy.before.rss,
      "threads after a storm": stormy.threads,
    },
  };
}

/** What a figure may be at most, given what is recorded for it and the spread of the run. */
export function allowed(figure: Guarded, recorded: number, spread: number): number {
  const tolerance = GUARDED[figure];
  return tolerance === "spread" ? recorded * (1 + Math.min(spread, MOST_SPREAD)) : recorded + tolerance;
}

/** That the machine was too busy for times to be compared, with the spread, if it was. */
export function tooBusy({ spread }: Pick<Measured, "spread">): string | undefined {
  const percent = (part: number) => `${Math.round(part * 100)} %`;
  if (spread <= MOST_SPREAD) return undefined;
  return `the machine is too busy: times of one program are ${percent(spread)} apart, more than ${percent(MOST_SPREAD)}`;
}

/** The figures that are more than allowed, or not recorded, or could not be measured, or that the machine was too busy for, one line each. */
export function worse(measured: Measured, recorded: Partial<Values>): string[] {
  const { values, spread } = measured;
  const busy = tooBusy(measured);
  return (Object.keys(GUARDED) as Guarded[]).flatMap((name) => {
    const known = recorded[name];
    if (known === undefined) return [`${name}: ${values[name].toFixed(2)}, nothing is recorded`];
    if (GUARDED[name] === "spread" && busy) return [`${name}: ${busy}`];
    const most = allowed(name, known, spread);
    return values[name] <= most
      ? []
      : [`${name}: ${values[name].toFixed(2)}, at most ${most.toFixed(2)} (recorded ${known})`];
  });
}
