/** Defines every command: its name, its options, the refusal of unknown arguments, and errors in one line. */
import { parseArgs, stripVTControlCharacters } from "node:util";
import { type ArgsDef, type CommandDef, defineCommand, type ParsedArgs, renderUsage, runMain } from "citty";
import pkg from "../../package.json";
import { removeLeft } from "../linux/folder.ts";
import { atExit } from "../linux/interrupt.ts";
import { DIST } from "./project.ts";
import { fail, InputError, progress } from "./report.ts";

/** An option, which is on or off or a text, or an operand. */
type Options = ArgsDef & Readonly<Record<string, { readonly type: "boolean" | "string" | "positional" }>>;

/** Throws an InputError for an unknown or repeated option, a missing value or a surplus operand: citty lets them pass. */
function refuseMistakes(args: readonly string[], options: Options): void {
  const seen = new Set<string>();
  const kinds = Object.entries(options);
  const named = Object.fromEntries(
    kinds.flatMap(([name, { type }]) => (type === "positional" ? [] : [[name, { type }]])),
  );
  let operands = kinds.filter(([, { type }]) => type === "positional").length;
  for (const token of parseArgs({ args: [...args], options: named, strict: false, tokens: true }).tokens) {
    if (token.kind === "positional" && operands-- === 0) throw new InputError(`unexpected "${token.value}"`);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    const type = named[name]?.type;
    if (!type) throw new InputError(`unknown option ${rawName}`);
    if (seen.has(name)) throw new InputError(`${rawName} is given twice`);
    seen.add(name);
    if (type === "boolean" && value !== undefined) throw new InputError(`${rawName} takes no value`);
    // The next option is not a value, but a negative number is.
    const missing = !value || (!inlineValue && /^--?[a-z]/.test(value));
    if (type === "string" && missing) throw new InputError(`${rawName} takes a value`);
  }
}

/** Writes citty's usage of the command to standard output, without colours if that is a pipe. */
async function showHelp<T extends ArgsDef>(definition: CommandDef<T>): Promise<void> {
  const text = await renderUsage(definition);
  console.log(process.stdout.isTTY ? text : stripVTControlCharacters(text).replaceAll(/ +$/gm, ""));
}

/**
 * Runs this process as a command. An error is one line on standard error and exit status 1.
 *
 * @param name as in `npm run NAME`
 * @param description for its help
 * @param options as citty defines them
 * @param run does the work, given the options' values
 */
export async function command<const O extends Options>(
  name: string,
  description: string,
  options: O,
  run: (args: ParsedArgs<O>) => Promise<void>,
): Promise<void> {
  const definition = defineCommand({
    meta: { name: `npm run ${name} --`, description },
    args: options,
    async run({ args, rawArgs }) {
      try {
        refuseMistakes(rawArgs, options);
        atExit(() => progress(""));
        removeLeft(DIST);
        await run(args);
      } catch (error) {
        fail(error);
      }
    },
  });
  const version = `${pkg.name} ${pkg.version}`;
  await runMain({ ...definition, meta: { ...definition.meta, version } }, { showUsage: () => showHelp(definition) });
}
