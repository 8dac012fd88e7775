/** The guard of `npm run bench -- --check`: it names what is worse than recorded and nothing else. */
import { describe, expect, test } from "bun:test";
import { allowed, GUARDED, type Guarded, MOST_SPREAD, type Values, worse } from "../../scripts/bench/guard.ts";
import recorded from "../../scripts/bench/recorded.json";

const NAMES = Object.keys(GUARDED) as Guarded[];

for (const [platform, record] of Object.entries(recorded) as [string, Values][]) {
  describe(`the guard on ${platform}`, () => {
    test("has a figure recorded for each that it guards", () => {
      expect(Object.keys(record).sort()).toEqual([...NAMES].sort());
      expect(worse({ values: record, spread: 0 }, record)).toEqual([]);
    });

    test.each(NAMES)("names %s when it is beyond its tolerance, and nothing else", (name) => {
      for (const spread of [0, MOST_SPREAD]) {
        const most = allowed(name, record[name], spread);
        expect(worse({ values: { ...record, [name]: most }, spread }, record)).toEqual([]);
        const over = { ...record, [name]: most + 0.01 };
        expect(worse({ values: over, spread }, record)).toEqual([expect.stringContaining(`${name}: `)]);
      }
    });

    test("rejects a run whose times are too far apart", () => {
      const times = NAMES.filter((name) => GUARDED[name] === "spread");
      expect(times.length).toBeGreaterThan(0);
      const busy = { values: record, spread: MOST_SPREAD + 0.01 };
      expect(worse(busy, record)).toEqual(
        times.map((name) => `${name}: the machine is too busy: times of one program are 21 % apart, more than 20 %`),
      );
      for (const name of times) expect(allowed(name, 1, 0.9)).toBe(1 + MOST_SPREAD);
    });

    test("counts a figure that could not be measured, or that is not recorded, as worse", () => {
      const { threads, ...others } = record;
      expect(worse({ values: { ...record, threads: Number.NaN }, spread: 0 }, record)).toHaveLength(1);
      expect(worse({ values: record, spread: 0 }, others)).toEqual([
        `threads: ${threads.toFixed(2)}, nothing is recorded`,
      ]);
    });
  });
}
