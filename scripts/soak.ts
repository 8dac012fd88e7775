/** `npm run soak`: disturbs pause at random, for minutes or hours, and checks that this leaves no trace. */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { command } from "./command/command.ts";
import { DIST } from "./command/project.ts";
import { InputError } from "./command/report.ts";
import { compile, isStale } from "./executable/compile.ts";
import { hostPlatform } from "./executable/platforms.ts";
import { soak } from "./soak/run.ts";

/** `text` as a number of at least 0, or an InputError that names the option. */
function number(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new InputError(`--${option} ${text}: not a number`);
  return value;
}

/** The options, as citty shows them. */
const OPTIONS = {
  minutes: { type: "string", description: "How long (default: 2)" },
  hours: { type: "string", description: "How long, instead" },
  seed: { type: "string", description: "Repeat the run with this seed (default: a new one)" },
  orphans: { type: "string", default: "20000", description: "Minimum number of orphans" },
  rest: { type: "string", default: "0", description: "Minutes at rest, halfway and in addition" },
  clock: { type: "boolean", description: "Also move this machine's wall clock back and forth; as root" },
  trace: { type: "boolean", description: "Trace all calls; as root, with strace; some 100 MB per million orphans" },
} as const;

await command("soak", "Disturb pause at random and check that nothing stays behind", OPTIONS, async (args) => {
  if (args.minutes !== undefined && args.hours !== undefined) throw new InputError("--minutes or --hours, not both");
  const hours = args.hours === undefined ? undefined : number("hours", args.hours);
  const seconds = hours === undefined ? number("minutes", args.minutes ?? "2") * 60 : hours * 3600;
  const seed = args.seed === undefined ? randomInt(2 ** 32) : number("seed", args.seed);
  const orphans = number("orphans", args.orphans);
  const rest = number("rest", args.rest) * 60;
  const program = join(DIST, "pause");
  if (isStale(program)) await compile(hostPlatform(), program);
  console.log(`seed ${seed}`);
  const start = performance.now();
  const { steps, disturbances, rssAnon, calls, ...summary } = await soak({
    program,
    seed,
    seconds,
    orphans,
    rest,
    trace: args.trace ?? false,
    clock: args.clock ?? false,
  });
  for (const [name, count] of Object.entries(disturbances)) {
    console.log(`${name.padEnd(24)} ${typeof count === "number" ? `${count} times` : `never: ${count}`}`);
  }
  console.log(`${steps} steps and ${summary.orphans} orphans in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  if (calls) {
    const made = [...calls].map(([name, count]) => `${name} ${count}`).join(", ");
    console.log(`traced from its lock to its end, nothing refused: ${made}`);
  }
  console.log(`none lost, one thread, RssAnon ${rssAnon[0]} kB before and ${rssAnon[1]} kB after, exit 0`);
});
