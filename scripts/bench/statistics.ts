/** Measuring in turns, and summing up the values. */
import { quantile } from "simple-statistics";

/** The middle of a number of values and where most of them lie. */
export interface Summary {
  readonly median: number;
  /** 10th percentile. */
  readonly low: number;
  /** 90th percentile. */
  readonly high: number;
  /** The number of values. */
  readonly count: number;
}

/** Sums up one value or more. Throws on none. */
export function summary(values: readonly number[]): Summary {
  const [low = Number.NaN, median = Number.NaN, high = Number.NaN] = quantile([...values], [0.1, 0.5, 0.9]);
  return { median, low, high, count: values.length };
}

/**
 * Takes each measurement `rounds` times, in turns, so that whatever else the machine does falls on all alike.
 *
 * @param onRound called before each round with the number of rounds done
 * @returns the values, in the order of `measurements`
 */
export async function interleaved<T>(
  measurements: readonly (() => T | Promise<T>)[],
  rounds: number,
  onRound: (done: number) => void = () => {},
): Promise<T[][]> {
  const values: T[][] = measurements.map(() => []);
  for (let round = 0; round < rounds; round++) {
    onRound(round);
    for (const [index, measure] of measurements.entries()) values[index]?.push(await measure());
  }
  return values;
}
