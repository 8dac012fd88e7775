/** The guard of `npm run bench -- --check`: it names the figures that are worse than recorded and nothing else. */
import { describe, expect, test } from "bun:test";
import { allowed, GUARDED, type Guarded, MOST_SPREAD, regressions, type Values } from "../../scripts/bench/guard.ts";
import recorded from "../../scripts/bench/recorded.json";

const NAMES = Object.keys(GUARDED) as Guarded[];

describe.each(Object.entries(recorded) as [string, Values][])("the guard on %s", (_, record) => {
  test("has a figure recorded for each that it guards", () =>
    expect(Object.keys(record).sort()).toEqual([...NAMES].sort()));

  test("names a figure that is beyond its tolerance, could not be measured or is not recorded, and nothing else", () => {
    for (const name of NAMES) {
      const most = allowed(name, record[name], 0.1);
      const run = (value: number) => ({ values: { ...record, [name]: value }, spread: 0.1 });
      expect(regressions(run(most), record)).toEqual([]);
      for (const value of [most + 0.01, Number.NaN]) {
        expect(regressions(run(value), record)).toEqual([expect.stringContaining(`${name}: `)]);
      }
      const { [name]: _, ...others } = record;
      expect(regressions(run(most), others)).toEqual([expect.stringContaining("nothing is recorded")]);
    }
  });

  test("rejects a run whose times are too far apart", () => {
    const times = NAMES.filter((name) => GUARDED[name] === "spread");
    expect(times.length).toBeGreaterThan(0);
    expect(regressions({ values: record, spread: MOST_SPREAD + 0.01 }, record)).toEqual(
      times.map((name) => `${name}: the machine is too busy: times of one program are 21 % apart, more than 20 %`),
    );
  });
});
