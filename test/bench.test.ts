/** The guard: no figure is worse than recorded beyond noise, nor over the project's limits. */
import { describe, expect, test } from "bun:test";
import { allowed, best, GUARDED, type Guarded, measureGuarded, type Values, worse } from "../scripts/guard.ts";
import { NO_PID_NAMESPACE } from "../scripts/namespace.ts";
import { hostPlatform } from "../scripts/platforms.ts";
import { withPair } from "../scripts/programs.ts";
import { compileStorm, NO_REFERENCE, REFERENCE } from "../scripts/reference.ts";
import recorded from "./recorded.json";
import { NAMESPACE, OURS } from "./subject.ts";

/** What is recorded for this platform; nothing for one on which nobody has run `npm run bench -- --record`. */
const RECORDED: Partial<Values> = (recorded as Record<string, Partial<Values>>)[hostPlatform().name] ?? {};

/** How often a figure that is too high is measured again: noise passes, a change for the worse does not. */
const ATTEMPTS = 3;

const missing = REFERENCE ? (NAMESPACE ? undefined : NO_PID_NAMESPACE) : NO_REFERENCE;
const title = "no figure is worse than recorded";
test.skipIf(missing !== undefined)(
  missing ? `${title} (skipped: ${missing})` : title,
  () =>
    withPair(OURS, REFERENCE ?? "", async (ours, reference) => {
      const storm = compileStorm() ?? "";
      let values = await measureGuarded(ours, reference, storm);
      for (let attempt = 1; attempt < ATTEMPTS && worse(values, RECORDED).length > 0; attempt++) {
        values = best(values, await measureGuarded(ours, reference, storm));
      }
      expect(worse(values, RECORDED)).toEqual([]);
    }),
  180_000,
);

describe("the guard", () => {
  const names = Object.keys(GUARDED) as Guarded[];
  const limits = Object.fromEntries(names.map((name) => [name, GUARDED[name].limit])) as Values;

  test.each(names)("names %s when it is over its limit or beyond noise, and nothing else", (name) => {
    for (const base of [limits, best(limits, { ...limits, ...RECORDED })]) {
      const over = { ...base, [name]: allowed(name, base[name]) + 0.01 };
      expect(worse(over, base)).toEqual([expect.stringContaining(`${name}: `)]);
    }
    expect(worse(limits, {})).toEqual([]);
  });

  test("takes a figure that could not be measured for worse", () => {
    expect(worse({ ...limits, threads: Number.NaN }, {})).toEqual([expect.stringContaining("threads: NaN")]);
  });
});
