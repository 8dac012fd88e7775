/** Defines every command: its name, its options, the refusal of unknown arguments, and errors in one line. */
import { parseArgs, stripVTControlCharacters } from "node:util";
import { type ArgsDef, type CommandDef, defineCommand, type ParsedArgs, renderUsage, runMain } from "citty";
import pkg from "../../package.json";
import { removeLeft } from "../linux/folder.ts";
import { DIST } from "./project.ts";
import { fail, InputError } from "./report.ts";

/** An option, which is on or off or a text, or an operand. */
type Options = ArgsDef & Readonly<Record<string, { readonly type: "boolean" | "string" | "positional" }>>;

/** Throws for an unknown or repeated option, a missing value or a surplus operand: citty lets them pass. */
function refuseMistakes(args: readonly string[], options: Options): void {
  const named = Object.entries(options).flatMap(([name, { type }]) =>
    type === "positional" ? [] : [[name, { type }]],
  );
  const operands = Object.keys(options).length - named.length;
  const { positionals, tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(named),
    allowPositionals: true,
    tokens: true,
  });
  if (positionals.length > operands) throw new InputError(`unexpected "${positionals[operands]}"`);
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    if (seen.has(token.name)) throw new InputError(`${token.rawName} is given twice`);
    if (token.value === "") throw new InputError(`${token.rawName} takes a value`);
    seen.add(token.name);
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
