/**
 * The guard: the figures that must not get worse. Counts are the same on any machine; times are compared with the empty
 * program's.
 */
import { compileStorm } from "../reference/compile.ts";
import { type Extent, measureAll } from "./figures.ts";
import { FLOOR, OURS, type Program } from "./programs.ts";
import type { Figure } from "./statistics.ts";
import { ratio } from "./table.ts";

/** The largest spread, as a part of the median, at which a run's times are still compared. A quiet machine shows half of it. */
export const MOST_SPREAD = 0.2;

/**
 * The guarded figures, and the amount by which each may exceed its record, in its own unit; or, for a time as a ratio to the
 * empty program's, the spread of the run. A figure with 0 is always the same. A page more or less is a matter of where the
 * kernel put the stack and the environment; how much of libc is mapped depends on how the page cache holds it.
 */
export const GUARDED = {
  "`-v`, ms": "spread",
  "ready, ms": "spread",
  "page faults to ready": 8,
  "RSS, KiB": 256,
  "RssAnon, KiB": 8,
  "page tables, KiB": 8,
  "PSS, each of 110, KiB": 16,
  threads: 0,
  "open descriptors": 0,
  "context switches in 5 s": 0,
  "RSS afterwards, more than before, KiB": 32,
  "threads right afterwards": 0,
} satisfies Record<string, number | "spread">;

/** The name of a guarded figure. */
export type Guarded = keyof typeof GUARDED;

const NAMES = Object.keys(GUARDED) as Guarded[];

/** A value for each guarded figure. */
export type Values = Record<Guarded, number>;

/** One run of the guard. */
interface Measured {
  readonly values: Values;
  /** The spread of the empty program's times, as a part of their median: 0.2 if most lie within 20 % of each other. */
  readonly spread: number;
}

/** Enough for every guarded figure: some 20 s. */
const EXTENT: Extent = { rounds: 200, cold: 0, rest: 5, orphans: 10_000, sigterms: 0, instances: [110] };

/** Measures every guarded figure once. `pair` is ours and the empty program. */
export async function measureGuarded(pair: readonly Program[]): Promise<Measured> {
  const figures = await measureAll(pair, EXTENT, compileStorm(), undefined);
  const measured = NAMES.map((name): [Guarded, Figure] => [name, figures.find((it) => it.name === name) as Figure]);
  const value = (name: Guarded, figure: Figure) =>
    (GUARDED[name] === "spread" ? ratio(figure, OURS, FLOOR) : figure.values[OURS]?.median) ?? Number.NaN;
  const spreads = measured.map(([name, { values }]) => {
    const { low, median, high } = values[FLOOR] ?? { low: 0, median: 1, high: 0 };
    return GUARDED[name] === "spread" ? (high - low) / median : 0;
  });
  return {
    values: Object.fromEntries(measured.map(([name, figure]) => [name, value(name, figure)])) as Values,
    spread: Math.max(...spreads),
  };
}

/** The most that a figure may be, given its record and the spread of the run. */
export function allowed(figure: Guarded, recorded: number, spread: number): number {
  const tolerance = GUARDED[figure];
  return tolerance === "spread" ? recorded * (1 + Math.min(spread, MOST_SPREAD)) : recorded + tolerance;
}

/** Says that the machine was too busy for times to be compared, with the spread, if it was. */
export function tooBusy({ spread }: Pick<Measured, "spread">): string | undefined {
  const percent = (part: number) => `${Math.round(part * 100)} %`;
  if (spread <= MOST_SPREAD) return undefined;
  return `the machine is too busy: times of one program are ${percent(spread)} apart, more than ${percent(MOST_SPREAD)}`;
}

/**
 * The figures that are more than allowed, or not recorded, or could not be measured, or that the machine was too busy
 * for, one line each.
 */
export function regressions(measured: Measured, recorded: Partial<Values>): string[] {
  const { values, spread } = measured;
  const busy = tooBusy(measured);
  return NAMES.flatMap((name) => {
    const known = recorded[name];
    if (known === undefined) return [`${name}: ${values[name].toFixed(2)}, nothing is recorded`];
    if (GUARDED[name] === "spread" && busy) return [`${name}: ${busy}`];
    const most = allowed(name, known, spread);
    if (values[name] <= most) return [];
    return [`${name}: ${values[name].toFixed(2)}, at most ${most.toFixed(2)} (recorded ${known})`];
  });
}
