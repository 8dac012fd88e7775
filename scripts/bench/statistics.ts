/** Measuring in turns, and summing up the values. */
import { quantile } from "simple-statistics";
import { progress } from "../command/report.ts";

/** The middle of a number of values and where most of them lie. */
export interface Summary {
  readonly median: number;
  /** 10th percentile. */
  readonly low: number;
  /** 90th percentile. */
  readonly high: number;
}

/** One figure of every program that has it. */
export interface Figure {
  /** With its unit. */
  readonly name: string;
  /** By the program's name. */
  readonly values: Readonly<Record<string, Summary>>;
}

/** Adds a value to the figure called `figure` of a program. Undefined, which is a value that cannot be seen here, adds none. */
export type Add = (figure: string, program: { readonly name: string }, value: number | undefined) => void;

/** Sums up one value or more. Throws on none. */
export function summary(values: readonly number[]): Summary {
  const [low = Number.NaN, median = Number.NaN, high = Number.NaN] = quantile([...values], [0.1, 0.5, 0.9]);
  return { median, low, high };
}

/**
 * Takes each measurement `rounds` times, in turns, so that whatever else the machine does falls on all alike. `title` is
 * shown on a terminal. Returns the values, in the order of `measurements`.
 */
export async function interleaved<T>(
  title: string,
  measurements: readonly (() => T | Promise<T>)[],
  rounds: number,
): Promise<T[][]> {
  const values: T[][] = measurements.map(() => []);
  for (let round = 0; round < rounds; round++) {
    progress(`${title}: ${round} of ${rounds} rounds`);
    for (const [index, measure] of measurements.entries()) values[index]?.push(await measure());
  }
  return values;
}
