/** Everything that the bench measures, figure by figure. */
import { stat } from "node:fs/promises";
import { progress } from "../command/report.ts";
import { coldStarts, READ_AHEAD } from "./cold.ts";
import { DELAYS, lostSigterms } from "./early.ts";
import { PIECE, type Program, withCopies } from "./programs.ts";
import { measureCrowds, measureRest } from "./rest.ts";
import { readyTime, versionTime } from "./start.ts";
import { type Add, type Figure, interleaved, summary } from "./statistics.ts";
import { measureStorms } from "./storm.ts";

/** The extent of all measurements. */
export interface Extent {
  /** Starts of each kind and program. */
  readonly rounds: number;
  /** Cold starts of each kind, program and read-ahead. */
  readonly cold: number;
  /** Seconds at rest. */
  readonly rest: number;
  /** Orphans for each program, in all. */
  readonly orphans: number;
  /** SIGTERMs for each program and delay. */
  readonly sigterms: number;
  /** Numbers of instances that are weighed together, in rising order. */
  readonly instances: readonly number[];
}

/** Starts: `-v`, and until ready. */
async function measureStarts(programs: readonly Program[], rounds: number, add: Add): Promise<void> {
  const versions = programs
    .filter(({ version }) => version)
    .map((program) => {
      const measure = versionTime(program);
      return () => add("`-v`, ms", program, measure());
    });
  await interleaved("-v", versions, rounds);
  const readyStarts = (copies: readonly Program[], how: string) => {
    const starts = copies.map((program) => {
      const measure = readyTime(program);
      return () => {
        const { time, cpu, faults } = measure();
        add(`${how}ready, ms`, program, time);
        if (how === "") add("processor time to ready, ms", program, cpu);
        add(`${how}page faults to ready`, program, faults);
      };
    });
    return interleaved(`${how}ready`, starts, rounds);
  };
  await readyStarts(programs, "");
  await withCopies(programs, PIECE, (copies) => readyStarts(copies, "as an engine unpacks it: "));
}

/** Cold starts; no figure where there can be none. */
async function measureCold(programs: readonly Program[], rounds: number, add: Add): Promise<void> {
  progress(`cold: ${rounds} starts of each kind`);
  const results = rounds > 0 ? await coldStarts(programs, rounds) : undefined;
  for (const kib of results ? READ_AHEAD : []) {
    for (const [index, program] of programs.entries()) {
      for (const { time, read } of results?.[kib]?.[index] ?? []) {
        add(`cold, read-ahead of ${kib} KiB: ready, ms`, program, time);
        add(`cold, read-ahead of ${kib} KiB: read to ready, KiB`, program, read);
      }
    }
  }
}

/** Early SIGTERMs that pauses lose as PID 1; no figure of no rounds. */
async function measureSigterms(programs: readonly Program[], rounds: number, add: Add): Promise<void> {
  const pauses = programs.filter(({ version }) => version);
  const lost = rounds > 0 ? await lostSigterms(pauses, rounds) : [];
  const name = `lost of ${rounds * DELAYS.length} SIGTERMs to PID 1, 0 to ${DELAYS.at(-1)} ms after exec`;
  for (const [index, counts] of lost.entries()) {
    add(
      name,
      pauses[index] as Program,
      counts.reduce((sum, count) => sum + count),
    );
  }
}

/**
 * Measures everything of every program, in turns. One that ends by itself has figures of its start only.
 *
 * @param storm path of the storm; without one, or where no PID namespace can be made, its figures are left out
 * @param image path of the image archive, if there is one
 */
export async function measureAll(
  programs: readonly Program[],
  extent: Extent,
  storm: string | undefined,
  image: string | undefined,
): Promise<Figure[]> {
  const figures = new Map<string, Map<string, number[]>>();
  const add: Add = (figure, { name }, value) => {
    if (value === undefined) return;
    const values = figures.get(figure) ?? new Map<string, number[]>();
    figures.set(figure, values.set(name, (values.get(name) ?? []).concat(value)));
  };
  const resting = programs.filter(({ ready }) => ready !== "ended");
  await measureStarts(programs, extent.rounds, add);
  await measureCold(programs, extent.cold, add);
  for (const program of resting) await measureCrowds(program, extent.instances, add);
  await measureRest(resting, extent.rest, add);
  if (storm) await measureStorms(resting, storm, extent.orphans, add);
  if (storm) await measureSigterms(resting, extent.sigterms, add);
  for (const program of programs) add("executable, bytes", program, (await stat(program.path)).size);
  if (image && programs[0]) add("image archive, bytes", programs[0], (await stat(image)).size);
  return [...figures].map(([name, values]) => ({
    name,
    values: Object.fromEntries([...values].map(([program, list]) => [program, summary(list)])),
  }));
}
