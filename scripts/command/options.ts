/** What citty lets pass. */
import { InputError } from "./report.ts";

/** Throws an InputError at an option that is not among `known`, or at an operand. */
export function refuseUnknown(
  args: Readonly<Record<string, unknown>> & { readonly _: readonly string[] },
  known: Readonly<Record<string, unknown>>,
): void {
  const unknown = Object.keys(args).find(
    (name) => name !== "_" && !(name.replace(/[A-Z]/g, "-$&").toLowerCase() in known),
  );
  if (unknown !== undefined) throw new InputError(`unknown option --${unknown}`);
  if (args._.length > 0) throw new InputError(`unexpected "${args._[0]}"`);
}
