/** What every command is made with: its name, its options, the refusal of what it does not know, and errors in one line. */
import { type ArgsDef, defineCommand, type ParsedArgs, runMain } from "citty";
import { fail, InputError } from "./report.ts";

/** Throws an InputError at an option that is not among `known`, or at an operand: citty lets both pass. */
function refuseUnknown(
  args: Readonly<Record<string, unknown>> & { readonly _: readonly string[] },
  known: ArgsDef,
): void {
  const unknown = Object.keys(args).find(
    (name) => name !== "_" && !(name.replace(/[A-Z]/g, "-$&").toLowerCase() in known),
  );
  if (unknown !== undefined) throw new InputError(`unknown option --${unknown}`);
  if (args._.length > 0) throw new InputError(`unexpected "${args._[0]}"`);
}

/**
 * Runs this process as a command. An error is one line on standard error and exit status 1.
 *
 * @param name as in `npm run NAME`
 * @param description what it does, for its help
 * @param options as citty takes them
 * @param run does it, given the options' values
 */
export async function command<const Options extends ArgsDef>(
  name: string,
  description: string,
  options: Options,
  run: (args: ParsedArgs<Options>) => Promise<void>,
): Promise<void> {
  await runMain(
    defineCommand({
      meta: { name: `npm run ${name} --`, description },
      args: options,
      async run({ args }) {
        try {
          refuseUnknown(args, options);
          await run(args);
        } catch (error) {
          fail(error);
        }
      },
    }),
  );
}
