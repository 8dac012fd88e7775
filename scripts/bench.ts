/** `npm run bench`: measures pause-ts, an empty Bun program, C pauses and the like in turn; a table, dist/bench.json and charts. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { cpus, release } from "node:os";
import { dirname, join, relative } from "node:path";
import { version } from "../package.json";
import { ALL_THEMES, chart } from "./bench/chart.ts";
import { coldObstacle, NO_LOOP_DEVICE } from "./bench/cold.ts";
import { type Extent, measureAll } from "./bench/figures.ts";
import { floor } from "./bench/floor.ts";
import { measureGuarded, tooBusy, type Values, worse } from "./bench/guard.ts";
import { NO_INSTRUCTIONS } from "./bench/instructions.ts";
import { company, type Pair, withPair, YARDSTICK } from "./bench/programs.ts";
import recorded from "./bench/recorded.json";
import { NOT_DUMPABLE } from "./bench/rest.ts";
import { ratio, table } from "./bench/table.ts";
import { command } from "./command/command.ts";
import { DIST, ROOT } from "./command/project.ts";
import { InputError, progress } from "./command/report.ts";
import { compile, isStale } from "./executable/compile.ts";
import { hostPlatform } from "./executable/platforms.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "./linux/namespace.ts";
import { compileStorm, NO_REFERENCE } from "./reference/compile.ts";

/** How much is measured by default, and with --quick. */
const FULL = { rounds: 200, cold: 20, rest: 60, orphans: 100_000, instances: [1, 10, 110] };
const QUICK = { rounds: 50, cold: 3, rest: 5, orphans: 10_000, instances: [1, 10] };

/** Writes `text` to `path` by way of a temporary name. */
async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** The number that `--name text` gives. Throws an InputError if it is not a positive whole number. */
function whole(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InputError(`--${name} ${text}: not a positive whole number`);
  return Number(text);
}

/** Measures everything, prints the table and writes dist/bench.json, dist/bench-light.svg and dist/bench-dark.svg. */
async function bench({ ours, floor }: Pair, extent: Extent): Promise<void> {
  const { present, notes } = company();
  const programs = [ours, floor, ...present];
  const names = programs.map(({ name }) => name);
  const image = join(DIST, "pause-ts.oci.tar");
  const namespace = pidNamespace();
  if (!namespace) notes.push(`Storms are left out: ${NO_PID_NAMESPACE}.`);
  const storm = compileStorm();
  if (!storm) notes.push(`Storms are left out: ${NO_REFERENCE}.`);
  if (process.getuid?.() !== 0) notes.push(NOT_DUMPABLE);
  const figures = await measureAll(
    programs,
    extent,
    namespace && storm,
    (await Bun.file(image).exists()) ? image : undefined,
  );
  progress("");
  if (!figures.some(({ name }) => name.startsWith("cold"))) {
    notes.push(`Cold starts are left out: ${coldObstacle() ?? NO_LOOP_DEVICE}.`);
  }
  if (!figures.some(({ name }) => name.startsWith("instructions"))) notes.push(NO_INSTRUCTIONS);

  const machine = `${cpus().length} processors (${cpus()[0]?.model}), Linux ${release()}`;
  console.log(table(figures, names, YARDSTICK));
  console.log(`\nMeasured on ${machine}; ${extent.rounds} starts of each kind.`);
  for (const note of notes) console.log(note);

  const json = {
    version,
    machine,
    extent,
    notes,
    figures: figures.map((figure) => ({ ...figure, ratio: ratio(figure, ours.name, YARDSTICK) })),
  };
  await put(join(DIST, "bench.json"), `${JSON.stringify(json, null, 2)}\n`);
  for (const theme of ALL_THEMES) await put(join(DIST, `bench-${theme}.svg`), chart(figures, names, theme));
}

/** The guard's record. */
const RECORD = join(ROOT, "scripts", "bench", "recorded.json");

/** The record for this platform; empty if nobody has run `npm run bench -- --record` on it. */
const RECORDED: Partial<Values> = (recorded as Record<string, Partial<Values>>)[hostPlatform().name] ?? {};

/** How often the guard measures before a figure that is too high fails it: noise passes, a regression stays. */
const ATTEMPTS = 3;

/** How often it waits for a busy machine to calm down, and for how long each time, in milliseconds. */
const [WAITS, WAIT] = [20, 5000];

/** The program with which the guard measures storms. Throws an InputError if any of its figures cannot be measured here. */
function guardStorm(): string {
  if (process.getuid?.() !== 0) throw new InputError("the guard needs root: pause-ts is not dumpable");
  if (!pidNamespace()) throw new InputError(NO_PID_NAMESPACE);
  const storm = compileStorm();
  if (!storm) throw new InputError(NO_REFERENCE);
  return storm;
}

/** Measures the guarded figures and writes them to the record, beside those of other platforms. Throws an InputError on a busy machine. */
async function record(pair: Pair, storm: string): Promise<void> {
  const measured = await measureGuarded(pair, storm);
  const { values } = measured;
  const busy = tooBusy(measured);
  if (busy) throw new InputError(busy);
  const rounded = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value.toFixed(2))]));
  await put(RECORD, `${JSON.stringify({ ...recorded, [hostPlatform().name]: rounded }, null, 2)}\n`);
  console.log(`${relative(process.cwd(), RECORD)}: written`);
}

/** Compares the guarded figures with the record and prints them. Throws an InputError that names every figure that is worse. */
async function check(pair: Pair, storm: string): Promise<void> {
  let failures: string[] = [];
  let waits = 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    progress(`the guard, attempt ${attempt} of ${ATTEMPTS}`);
    const measured = await measureGuarded(pair, storm);
    failures = worse(measured, RECORDED);
    if (tooBusy(measured) && waits < WAITS) {
      // Such a measurement says nothing: it is no attempt.
      waits++;
      attempt--;
      await Bun.sleep(WAIT);
    }
    if (failures.length > 0) continue;
    progress("");
    for (const [name, value] of Object.entries(measured.values)) console.log(`${name}: ${Number(value.toFixed(2))}`);
    console.log(`times of this run are within ${Math.round(measured.spread * 100)} % of each other`);
    return;
  }
  throw new InputError(`not as good as recorded: ${failures.join("; ")}`);
}

/** The options, as citty shows them. */
const OPTIONS = {
  rounds: { type: "string", description: `How often each is started (${FULL.rounds})` },
  rest: { type: "string", description: `Seconds at rest (${FULL.rest})` },
  orphans: { type: "string", description: `Orphans to reap (${FULL.orphans})` },
  quick: { type: "boolean", description: "A look in half a minute: less of everything" },
  check: { type: "boolean", description: "Compare the guarded figures with those recorded, instead; as root" },
  record: { type: "boolean", description: "Record the guarded figures, instead; as root" },
} as const;

await command("bench", "Measure pause-ts beside an empty Bun program and C pauses", OPTIONS, async (args) => {
  const usual = args.quick ? QUICK : FULL;
  const extent = {
    rounds: whole("rounds", args.rounds, usual.rounds),
    cold: usual.cold,
    rest: whole("rest", args.rest, usual.rest),
    orphans: whole("orphans", args.orphans, usual.orphans),
    instances: usual.instances,
  };
  if (args.check && args.record) throw new InputError("--check or --record, not both");
  const guarding = args.check || args.record ? guardStorm() : undefined;
  const path = join(DIST, "pause");
  if (isStale(path)) await compile(hostPlatform(), path);
  await withPair(path, await floor(), async (pair) => {
    if (guarding === undefined) await bench(pair, extent);
    else await (args.record ? record(pair, guarding) : check(pair, guarding));
  });
});
