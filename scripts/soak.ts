/** `npm run soak`: disturbs pause at random, for minutes or hours, and checks that this leaves no trace. */
import { randomInt } from "node:crypto";
import { command } from "./command/command.ts";
import { InputError } from "./command/report.ts";
import { built } from "./executable/compile.ts";
import { soak } from "./soak/run.ts";

/** `text` as a number of at least 0, or an InputError that names the option. */
function number(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new InputError(`--${option} ${text}: not a number`);
  return value;
}

const OPTIONS = {
  minutes: { type: "string", default: "2", description: "How long" },
  seed: { type: "string", description: "Repeat the run with this seed (default: a new one)" },
  orphans: { type: "string", default: "20000", description: "Minimum number of orphans" },
  rest: { type: "string", default: "0", description: "Minutes at rest, halfway and in addition" },
  trace: { type: "boolean", description: "Trace all calls; as root, with strace; some 100 MB per million orphans" },
} as const;

await command("soak", "Disturb pause at random and check that nothing stays behind", OPTIONS, async (args) => {
  const wanted = {
    seed: args.seed === undefined ? randomInt(2 ** 32) : number("seed", args.seed),
    seconds: number("minutes", args.minutes) * 60,
    orphans: number("orphans", args.orphans),
    rest: number("rest", args.rest) * 60,
    trace: args.trace ?? false,
  };
  const program = await built();
  console.log(`seed ${wanted.seed}`);
  const { steps, orphans, disturbances, rssAnon, calls } = await soak({ program, ...wanted });
  for (const [name, count] of Object.entries(disturbances)) {
    console.log(`${name.padEnd(24)} ${typeof count === "number" ? `${count} times` : `never: ${count}`}`);
  }
  console.log(`${steps} steps and ${orphans} orphans`);
  if (calls) {
    const made = [...calls].map(([name, count]) => `${name} ${count}`).join(", ");
    console.log(`traced from its lock to its end, nothing refused: ${made}`);
  }
  console.log(`none lost, one thread, RssAnon ${rssAnon[0]} kB before and ${rssAnon[1]} kB after, exit 0`);
});
