/** `npm run bench`: ours beside the C reference and its like, in turns in one run; a table, dist/bench.json and dist/bench.svg. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { cpus, release } from "node:os";
import { dirname, join, relative } from "node:path";
import { defineCommand, runMain } from "citty";
import { version } from "../package.json";
import recorded from "../test/recorded.json";
import { chart } from "./chart.ts";
import { compile, isStale, ROOT } from "./compile.ts";
import { type Extent, measureAll } from "./figures.ts";
import { best, measureGuarded, worse } from "./guard.ts";
import { NO_INSTRUCTIONS } from "./measure-instructions.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "./namespace.ts";
import { refuseUnknown } from "./options.ts";
import { hostPlatform } from "./platforms.ts";
import { company, type Program, withPair } from "./programs.ts";
import { compileStorm, NO_REFERENCE, REFERENCE } from "./reference.ts";
import { fail, InputError, progress } from "./report.ts";
import { ratio, table } from "./table.ts";

/** How much is measured without options, and with --quick. */
const FULL = { rounds: 200, rest: 60, orphans: 100_000, instances: [1, 10, 110] };
const QUICK = { rounds: 50, rest: 5, orphans: 10_000, instances: [1, 10] };

/** Measures of the guard that --record takes the best of, as many as the test has attempts. */
const ATTEMPTS = 3;

/** Writes `text` to `path` by way of a temporary name. */
async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** The number that `--name text` gives. Throws an InputError if it is not a whole number from 1 on. */
function whole(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InputError(`--${name} ${text}: not a whole number from 1 on`);
  return Number(text);
}

/** Measures all, shows the table and writes dist/bench.json and dist/bench.svg. */
async function bench(ours: Program, reference: Program, extent: Extent): Promise<void> {
  const { present, notes } = company();
  const programs = [ours, reference, ...present];
  const names = programs.map(({ name }) => name);
  const image = join(ROOT, "dist", "pause-ts.oci.tar");
  const namespace = pidNamespace();
  if (!namespace) notes.push(`Storms are left out: ${NO_PID_NAMESPACE}.`);
  const figures = await measureAll(
    programs,
    extent,
    namespace && compileStorm(),
    (await Bun.file(image).exists()) ? image : undefined,
  );
  progress("");
  if (!figures.some(({ name }) => name.startsWith("instructions"))) notes.push(NO_INSTRUCTIONS);

  const machine = `${cpus().length} processors (${cpus()[0]?.model}), Linux ${release()}`;
  console.log(table(figures, names));
  console.log(`\nMeasured on ${machine}; ${extent.rounds} starts of each kind.`);
  for (const note of notes) console.log(note);

  const json = {
    version,
    machine,
    extent,
    notes,
    figures: figures.map((figure) => ({ ...figure, ratio: ratio(figure, ours.name, reference.name) })),
  };
  await put(join(ROOT, "dist", "bench.json"), `${JSON.stringify(json, null, 2)}\n`);
  await put(join(ROOT, "dist", "bench.svg"), chart(figures, names));
}

/** Measures the guarded figures and writes them to test/recorded.json, beside those of other platforms. */
async function record(ours: Program, reference: Program): Promise<void> {
  const storm = compileStorm();
  if (!storm) throw new InputError(NO_REFERENCE);
  let values = await measureGuarded(ours, reference, storm);
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    progress(`recording: ${attempt} of ${ATTEMPTS}`);
    values = best(values, await measureGuarded(ours, reference, storm));
  }
  progress("");
  const rounded = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value.toFixed(2))]));
  const path = join(ROOT, "test", "recorded.json");
  await put(path, `${JSON.stringify({ ...recorded, [hostPlatform().name]: rounded }, null, 2)}\n`);
  console.log(`${relative(process.cwd(), path)}: written`);
  for (const line of worse(values, {})) console.log(`over its limit: ${line}`);
}

/** The options, as citty shows them. */
const OPTIONS = {
  rounds: { type: "string", description: `How often each is started (${FULL.rounds})` },
  rest: { type: "string", description: `Seconds at rest (${FULL.rest})` },
  orphans: { type: "string", description: `Orphans to reap (${FULL.orphans})` },
  quick: { type: "boolean", description: "A look in half a minute: less of everything" },
  record: { type: "boolean", description: "Write test/recorded.json, which the guard compares with, instead" },
} as const;

await runMain(
  defineCommand({
    meta: { name: "npm run bench --", description: "Measure pause-ts beside the C reference" },
    args: OPTIONS,
    async run({ args }) {
      try {
        refuseUnknown(args, OPTIONS);
        const usual = args.quick ? QUICK : FULL;
        const extent = {
          rounds: whole("rounds", args.rounds, usual.rounds),
          rest: whole("rest", args.rest, usual.rest),
          orphans: whole("orphans", args.orphans, usual.orphans),
          instances: usual.instances,
        };
        if (!REFERENCE) throw new InputError(NO_REFERENCE);
        const path = join(ROOT, "dist", "pause");
        if (isStale(path)) await compile(hostPlatform(), path);
        await withPair(path, REFERENCE, (ours, reference) =>
          args.record ? record(ours, reference) : bench(ours, reference, extent),
        );
      } catch (error) {
        fail(error);
      }
    },
  }),
);
