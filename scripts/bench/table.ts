/** The figures as a table in Markdown. */
import { markdownTable } from "markdown-table";
import type { Figure, Summary } from "./statistics.ts";

/** A number with its significant digits: three, and whole from 100 on. Empty for a ratio that does not exist. */
function number(value: number): string {
  if (Number.isNaN(value)) return "";
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(Math.abs(value) < 0.01 ? 1 : 3);
}

/** The median and, where it says anything, the 10th and 90th percentile. */
function cell(summary: Summary | undefined): string {
  if (!summary) return "";
  const [median, low, high] = [summary.median, summary.low, summary.high].map(number);
  return low === high ? `${median}` : `${median} (${low}–${high})`;
}

/** The ratio of two programs' medians; undefined if one is missing or 0. */
export function ratio({ values }: Figure, one: string, other: string): number | undefined {
  const [above, below] = [values[one]?.median, values[other]?.median];
  return above !== undefined && below !== undefined && below > 0 && above >= 0 ? above / below : undefined;
}

/** A row for each figure, a column for each program, and the ratio of the first one to the one called `yardstick`. */
export function table(figures: readonly Figure[], programs: readonly string[], yardstick: string): string {
  const [ours = ""] = programs;
  const rows = figures.map((figure) => [
    figure.name,
    ...programs.map((program) => cell(figure.values[program])),
    number(ratio(figure, ours, yardstick) ?? Number.NaN),
  ]);
  const heading = ["median (10th to 90th percentile)", ...programs, `ratio to ${yardstick}`];
  return markdownTable([heading, ...rows], { align: ["l", ...programs.map(() => "r"), "r"] });
}
