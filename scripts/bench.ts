/** `npm run bench`: measures pause-ts, an empty Bun program, C pauses and the like in turn; a table, and charts in dist/. */
import { existsSync } from "node:fs";
import { cpus, release } from "node:os";
import { join, relative } from "node:path";
import { ALL_THEMES, chart } from "./bench/chart.ts";
import { NO_LOOP_DEVICE } from "./bench/cold.ts";
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

/** Measures everything, prints the table and writes dist/bench-light.svg and dist/bench-dark.svg. */
async function bench(pair: readonly Program[], extent: Extent, obstacle: string | undefined): Promise<void> {
  const { present, notes } = competitors();
  const programs = [...pair, ...present];
  const names = programs.map(({ name }) => name);
  const image = join(DIST, "pause-ts.oci.tar");
  if (obstacle) notes.push(`Storms and early SIGTERMs are left out: ${obstacle}.`);
  if (process.getuid?.() !== 0) notes.push(NOT_DUMPABLE);
  const storm = obstacle ? undefined : compileStorm();
  const figures = await measureAll(programs, extent, storm, existsSync(image) ? image : undefined);
  progress("");
  if (!figures.some(({ name }) => name.startsWith("cold"))) notes.push(`Cold starts are left out: ${NO_LOOP_DEVICE}.`);
  console.log(table(figures, names, YARDSTICK));
  const machine = `${cpus().length} processors (${cpus()[0]?.model}), Linux ${release()}`;
  console.log(`\nMeasured on ${machine}; ${extent.rounds} starts of each kind.`);
  for (const note of notes) console.log(note);
  for (const theme of ALL_THEMES) await Bun.write(join(DIST, `bench-${theme}.svg`), chart(figures, names, theme));
}

const RECORD = join(ROOT, "scripts", "bench", "recorded.json");

/** The record for this platform; empty if nobody has run `npm run bench -- --record` on it. */
const RECORDED: Partial<Values> = (recorded as Record<string, Partial<Values>>)[hostPlatform().name] ?? {};

/** Measurements before a figure that is too high fails the guard: noise passes, a regression stays. */
const ATTEMPTS = 3;

/** The number of times that it waits for a busy machine to calm down, and the milliseconds of each. */
const [WAITS, WAIT] = [20, 5000];

/**
 * Measures the guarded figures and writes them to the record, beside those of other platforms. Throws an InputError on
 * a busy machine.
 */
async function record(pair: readonly Program[]): Promise<void> {
  const measured = await measureGuarded(pair);
  const busy = tooBusy(measured);
  if (busy) throw new InputError(busy);
  const rounded = Object.entries(measured.values).map(([name, value]) => [name, Number(value.toFixed(2))]);
  const all = { ...recorded, [hostPlatform().name]: Object.fromEntries(rounded) };
  await Bun.write(RECORD, `${JSON.stringify(all, null, 2)}\n`);
  console.log(`${relative(process.cwd(), RECORD)}: written`);
}

/** Compares the guarded figures with the record and prints them. Throws an InputError that names every figure that is worse. */
async function check(pair: readonly Program[]): Promise<void> {
  let failures: string[] = [];
  for (let attempt = 0, waits = 0; attempt < ATTEMPTS; attempt++) {
    const measured = await measureGuarded(pair);
    failures = regressions(measured, RECORDED);
    if (failures.length === 0) {
      progress("");
      for (const [name, value] of Object.entries(measured.values)) console.log(`${name}: ${Number(value.toFixed(2))}`);
      console.log(`times of this run are within ${Math.round(measured.spread * 100)} % of each other`);
      return;
    }
    if (tooBusy(measured) && waits++ < WAITS) {
      // Such a measurement says nothing: it is no attempt.
      attempt--;
      await Bun.sleep(WAIT);
    }
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
  const noStorm = compileStorm() ? undefined : NO_REFERENCE;
  const obstacle = pidNamespace() ? noStorm : NO_PID_NAMESPACE;
  if ((args.check || args.record) && process.getuid?.() !== 0)
    throw new InputError("the guard needs root: pause-ts is not dumpable");
  if ((args.check || args.record) && obstacle) throw new InputError(obstacle);
  await withPair(await built(), (pair) => {
    if (args.check) return check(pair);
    return args.record ? record(pair) : bench(pair, args.quick ? QUICK : FULL, obstacle);
  });
});
