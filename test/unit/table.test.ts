/** The results of the bench: values summed up, measured in turns, as a Markdown table and as a chart. */
import { expect, test } from "bun:test";
import { ALL_THEMES, chart } from "../../scripts/bench/chart.ts";
import { interleaved, summary } from "../../scripts/bench/statistics.ts";
import { table } from "../../scripts/bench/table.ts";

const programs = ["ours", "theirs"];
const figures = [
  { name: "ready, ms", values: { ours: summary([5, 6, 7]), theirs: summary([0.5, 1.5, 2.5]) } },
  { name: "RssAnon, KiB", values: { ours: summary([1760]) } },
];

test("measurements are taken in turns", async () => {
  const order: string[] = [];
  const measure = (name: string) => () => order.push(name);
  const inTurns = [
    [1, 3],
    [2, 4],
  ];
  expect(await interleaved("", [measure("a"), measure("b")], 2)).toEqual(inTurns);
  expect(order).toEqual(["a", "b", "a", "b"]);
});

test("the table has medians and percentiles, ratios, and an empty cell for what was not measured", () => {
  const cells = table(figures, programs, "theirs")
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()));
  expect(cells[0]).toEqual(["", "median (10th to 90th percentile)", "ours", "theirs", "ratio to theirs", ""]);
  expect(cells.slice(2)).toEqual([
    ["", "ready, ms", "6 (5.20–6.80)", "1.50 (0.700–2.30)", "4", ""],
    ["", "RssAnon, KiB", "1,760", "", "", ""],
  ]);
});

test.each(ALL_THEMES)("the %s chart has a panel for each figure that was measured, programs and medians", (theme) => {
  const svg = chart(figures, programs, theme);
  const texts = Array.from(svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g), ([, text]) => text);
  for (const text of ["ready, ms", "RssAnon, KiB", "ours", "theirs", "6", "1.5", "1760"]) expect(texts).toContain(text);
  expect(texts).not.toContain("-v, ms");
});
