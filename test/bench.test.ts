/** Time to `-v` and time to ready stay within 8 times the C reference's, medians of one run in turns. */
import { expect, test } from "bun:test";
import { interleaved, median, readyTime, versionTime } from "../scripts/measure.ts";
import { NO_REFERENCE, REFERENCE } from "../scripts/reference.ts";
import { OURS } from "./subject.ts";

const MOST = 8;

for (const [name, measure] of Object.entries({ "-v": versionTime, ready: readyTime })) {
  const title = `${name} takes at most ${MOST} times the reference's time`;
  test.skipIf(!REFERENCE)(
    REFERENCE ? title : `${title} (skipped: ${NO_REFERENCE})`,
    () => {
      const [ours = Number.NaN, reference = Number.NaN] = interleaved(
        [measure(OURS), measure(REFERENCE ?? "")],
        200,
      ).map(median);
      expect(ours / reference).toBeLessThanOrEqual(MOST);
    },
    60_000,
  );
}
