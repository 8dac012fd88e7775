/** `npm run bench`: ours beside the C reference, in turns in one run; a table, and dist/bench.json. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { defineCommand, runMain } from "citty";
import { compile, isStale, ROOT } from "./compile.ts";
import { interleaved, median, readyTime, versionTime } from "./measure.ts";
import { hostPlatform } from "./platforms.ts";
import { NO_REFERENCE, REFERENCE } from "./reference.ts";
import { fail, InputError, progress } from "./report.ts";

/** Measures all and returns medians by figure and program. */
async function bench(rounds: number): Promise<Record<string, { ours: number; reference: number; ratio: number }>> {
  if (!REFERENCE) throw new InputError(NO_REFERENCE);
  const pause = join(ROOT, "dist", "pause");
  if (await isStale(pause)) await compile(hostPlatform(), pause);
  const figures = { "-v, ms": versionTime, "ready, ms": readyTime };
  const result: Awaited<ReturnType<typeof bench>> = {};
  for (const [name, measure] of Object.entries(figures)) {
    const [ours = 0, reference = 0] = interleaved([measure(pause), measure(REFERENCE)], rounds, (done) =>
      progress(`${name}: ${done} of ${rounds}`),
    ).map(median);
    result[name] = { ours, reference, ratio: ours / reference };
  }
  progress("");
  return result;
}

await runMain(
  defineCommand({
    meta: { name: "npm run bench --", description: "Measure pause-ts beside the C reference" },
    args: { rounds: { type: "string", default: "200", description: "How often each is measured" } },
    async run({ args }) {
      try {
        const rounds = Number(args.rounds);
        if (!Number.isInteger(rounds) || rounds < 1)
          throw new InputError(`--rounds ${args.rounds}: not a number of rounds`);
        const result = await bench(rounds);
        console.table(
          Object.fromEntries(
            Object.entries(result).map(([name, values]) => [
              name,
              Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value.toFixed(2)])),
            ]),
          ),
        );
        const path = join(ROOT, "dist", "bench.json");
        await mkdir(join(ROOT, "dist"), { recursive: true });
        await writeFile(`${path}.new`, `${JSON.stringify(result, null, 2)}\n`);
        await rename(`${path}.new`, path);
      } catch (error) {
        fail(error);
      }
    },
  }),
);
