/** `npm run bench`: measures pause-ts, an empty Bun program, C pauses and the like in turn; a table, and charts in dist/. */
import { cpus, release } from "node:os";
import { join, relative } from "node:path";
import { ALL_THEMES, chart } from "./bench/chart.ts";
import { coldObstacle, NO_LOOP_DEVICE } from "./bench/cold.ts";
import { type Extent, measureAll } from "./bench/figures.ts";
import { measureGuarded, regressions, tooBusy, type Values } from "./bench/guard.ts";
import { competitors, type Program, withPair, YARDSTICK } from "./bench/programs.ts";
import recorded from "./bench/recorded.json";
import { NOT_DUMPABLE } from "./bench/rest.ts";
import { table } from "./bench/table.ts";
import { command } from "./command/command.ts";
import { DIST, ROOT } from "./command/project.ts";
import { InputError, progress } from "./command/report.ts";
import { built } from "./executable/compile.ts";
import { hostPlatform } from "./executable/platforms.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "./linux/namespace.ts";
import { compileStorm, NO_REFERENCE } from "./reference/compile.ts";

/** The extent by default, and with --quick. */
const FULL: Extent = { rounds: 200, cold: 20, rest: 60, orphans: 100_000, sigterms: 12, instances: [1, 110] };
const QUICK: Extent = { rounds: 50, cold: 3, rest: 5, orphans: 10_000, sigterms: 2, instances: [1, 10] };

/** The reason to leave out storms here, or undefined. */
function stormObstacle(): string | undefined {
  if (!pidNamespace()) return NO_PID_NAMESPACE;
  return compileStorm() ? undefined : NO_REFERENCE;
}

/** Measures everything, prints the table and writes dist/bench-light.svg and dist/bench-dark.svg. */
async function bench(pair: readonly Program[], extent: Extent): Promise<void> {
  const { present, notes } = competitors();
  const programs = [...pair, ...present];
  const names = programs.map(({ name }) => name);
  const image = join(DIST, "pause-ts.oci.tar");
  const obstacle = stormObstacle();
  if (obstacle) notes.push(`Storms and early SIGTERMs are left out: ${obstacle}.`);
  if (process.getuid?.() !== 0) notes.push(NOT_DUMPABLE);
  const storm = obstacle ? undefined : compileStorm();
  const figures = await measureAll(programs, extent, storm, (await Bun.file(image).exists()) ? image : undefined);
  progress("");
  if (!figures.some(({ name }) => name.startsWith("cold"))) {
    notes.push(`Cold starts are left out: ${coldObstacle() ?? NO_LOOP_DEVICE}.`);
  }
  console.log(table(figures, names, YARDSTICK));
  const machine = `${cpus().length} processors (${cpus()[0]?.model}), Linux ${release()}`;
  console.log(`\nMeasured on ${machine}; ${extent.rounds} starts of each kind.`);
  for (const note of notes) console.log(note);
  for (const theme of ALL_THEMES) await Bun.write(join(DIST, `bench-${theme}.svg`), chart(figures, names, theme));
}

/** The guard's record. */
const RECORD = join(ROOT, "scripts", "bench", "recorded.json");

/** The record for this platform; empty if nobody has run `npm run bench -- --record` on it. */
const RECORDED: Partial<Values> = (recorded as Record<string, Partial<Values>>)[hostPlatform().name] ?? {};

/** Measurements before a figure that is too high fails the guard: noise passes, a regression stays. */
const ATTEMPTS = 3;

/** The number of times that it waits for a busy machine to calm down, and the milliseconds of each. */
const [WAITS, WAIT] = [20, 5000];

/** The program with which the guard measures storms. Throws an InputError if any of its figures cannot be measured here. */
function guardStorm(): string {
  if (process.getuid?.() !== 0) throw new InputError("the guard needs root: pause-ts is not dumpable");
  const obstacle = stormObstacle();
  if (obstacle) throw new InputError(obstacle);
  return compileStorm() ?? "";
}

/** Measures the guarded figures and writes them to the record, beside those of other platforms. Throws an InputError on a busy machine. */
async function record(pair: readonly Program[]): Promise<void> {
  const measured = await measureGuarded(pair, guardStorm());
  const { values } = measured;
  const busy = tooBusy(measured);
  if (busy) throw new InputError(busy);
  const rounded = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value.toFixed(2))]));
  await Bun.write(RECORD, `${JSON.stringify({ ...recorded, [hostPlatform().name]: rounded }, null, 2)}\n`);
  console.log(`${relative(process.cwd(), RECORD)}: written`);
}

/** Compares the guarded figures with the record and prints them. Throws an InputError that names every figure that is worse. */
async function check(pair: readonly Program[]): Promise<void> {
  const storm = guardStorm();
  let failures: string[] = [];
  let waits = 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const measured = await measureGuarded(pair, storm);
    failures = regressions(measured, RECORDED);
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

const OPTIONS = {
  quick: { type: "boolean", description: "A look in a minute: less of everything" },
  check: { type: "boolean", description: "Compare the guarded figures with those recorded, instead; as root" },
  record: { type: "boolean", description: "Record the guarded figures, instead; as root" },
} as const;

await command("bench", "Measure pause-ts beside an empty Bun program and C pauses", OPTIONS, async (args) => {
  if (args.check && args.record) throw new InputError("--check or --record, not both");
  if (args.check || args.record) guardStorm();
  await withPair(await built(), (pair) => {
    if (args.check) return check(pair);
    return args.record ? record(pair) : bench(pair, args.quick ? QUICK : FULL);
  });
});
