/** The guard: the figures that must not get worse, as ratios and counts, which mean the same on a slower machine. */
import { crowds, rest } from "./measure-rest.ts";
import { readyTime, versionTime } from "./measure-start.ts";
import { storms } from "./measure-storm.ts";
import type { Program } from "./programs.ts";
import { interleaved, summary } from "./statistics.ts";

/** How much worse than recorded a figure may be, and how bad at all. */
export interface Tolerance {
  /** Times the recorded value. */
  readonly factor: number;
  /** Added to that. */
  readonly slack: number;
  /** Never more than this, whatever is recorded. */
  readonly limit: number;
}

/** A count that is always the same. */
const exact = (limit: number): Tolerance => ({ factor: 1, slack: 0, limit });
/** Something that varies by its `factor` on a busy machine. */
const within = (factor: number, limit: number, slack = 0): Tolerance => ({ factor, slack, limit });

/**
 * The guarded figures. The limits of times, memory and threads are the project's promises; the tolerances are what runs
 * on a machine with other things to do differed by. The reaping time's limit gets no allowance of its own: of up to
 * three attempts the best counts. Of the two start-up times what is promised is 7; 1 is for the machine.
 */
export const GUARDED = {
  "-v, ratio": within(1.3, 8),
  "ready, ratio": within(1.3, 8),
  "page faults to ready": within(1.1, 2000),
  "RssAnon, KiB": within(1, 1536, 16),
  "RSS, ratio": within(1.2, 4),
  "PSS of 10, ratio": within(1.3, 4),
  "page tables, KiB": within(1, 256, 8),
  threads: exact(1),
  "open descriptors": exact(16),
  "context switches in 5 s": exact(0),
  "reaping time, ratio": within(1.15, 1.1),
  "RSS after a storm, more KiB": within(1, 64, 32),
  "threads after a storm": exact(1),
} satisfies Record<string, Tolerance>;

/** The name of a guarded figure. */
export type Guarded = keyof typeof GUARDED;

/** A value for each guarded figure. */
export type Values = Record<Guarded, number>;

/** What a figure may be at most, given what is recorded for it; its limit where nothing is. */
export function allowed(figure: Guarded, recorded: number | undefined): number {
  const { factor, slack, limit } = GUARDED[figure];
  return recorded === undefined ? limit : Math.min(limit, recorded * factor + slack);
}

/**
 * How many times longer ours took: by the medians or by the 10th percentiles, whichever is less. What else the machine
 * does lengthens the longer of two times more often, and the shorter one by more.
 */
function ratioOf([ours = [], reference = []]: readonly (readonly number[])[]): number {
  const [one, other] = [summary(ours), summary(reference)];
  return Math.min(one.median / other.median, one.low / other.low);
}

/** Measures every guarded figure once: some 20 s. */
export async function measureGuarded(ours: Program, reference: Program, storm: string): Promise<Values> {
  const both = [ours, reference];
  const versions = await interleaved(both.map(versionTime), 150);
  const starts = await interleaved(
    both.map((program) => readyTime(program, program.ready ?? [])),
    150,
  );
  const [quiet] = await rest([ours], 5);
  const [our, its] = [await crowds(ours, [10]), await crowds(reference, [10])].map(([crowd]) => {
    const median = (key: "rss" | "anonymous" | "pss" | "pageTables") =>
      summary(crowd?.weights.map((weight) => weight[key]) ?? []).median;
    return { rss: median("rss"), anonymous: median("anonymous"), pss: median("pss"), tables: median("pageTables") };
  });
  const [stormy, calm] = await storms(both, storm, 1000, 10);
  if (!quiet || !our || !its || !stormy || !calm) throw new Error("unreachable: each measures both");
  return {
    "-v, ratio": ratioOf(versions),
    "ready, ratio": ratioOf(starts.map((values) => values.map(({ time }) => time))),
    "page faults to ready": summary(starts[0]?.map(({ faults }) => faults) ?? []).median,
    "RssAnon, KiB": our.anonymous,
    "RSS, ratio": our.rss / its.rss,
    "PSS of 10, ratio": our.pss / its.pss,
    "page tables, KiB": our.tables,
    threads: quiet.threads,
    "open descriptors": quiet.descriptors,
    "context switches in 5 s": quiet.switches,
    "reaping time, ratio": ratioOf([stormy.times, calm.times]),
    "RSS after a storm, more KiB": stormy.after.rss - stormy.before.rss,
    "threads after a storm": stormy.threads,
  };
}

/** The lower value of each figure. */
export function best(one: Values, other: Values): Values {
  const values = { ...one };
  for (const name of Object.keys(GUARDED) as Guarded[]) values[name] = Math.min(one[name], other[name]);
  return values;
}

/** The figures in `values` that are more than allowed, one line each. */
export function worse(values: Values, recorded: Partial<Values>): string[] {
  return (Object.keys(GUARDED) as Guarded[])
    .filter((name) => !(values[name] <= allowed(name, recorded[name])))
    .map((name) => {
      const most = allowed(name, recorded[name]).toFixed(2);
      return `${name}: ${values[name].toFixed(2)}, at most ${most} (recorded ${recorded[name]?.toFixed(2) ?? "nothing"})`;
    });
}
