/** The command line. */
import { usage } from "./usage.ts" with { type: "macro" };
import { VERSION_LINE } from "./version.ts";

/** The help. TypeScript does not know that a macro's promise is kept at compile time. */
const HELP = usage() as unknown as string;

/**
 * Returns what `args`, those after the program's name, ask to be printed: the version for any `-v` in either case, and for
 * `--version` before `--`; the help for `--help` or `-h` before `--`. Undefined if they ask for nothing: a container engine
 * may pass arguments too.
 */
export function answer(args: readonly string[]): string | undefined {
  // One string that Bun searches: a loop of ours over hundreds of arguments would make JavaScriptCore start threads.
  const line = `\0${args.join("\0")}\0`;
  if (line.toLowerCase().includes("\0-v\0")) return VERSION_LINE;
  const end = line.indexOf("\0--\0");
  const options = end < 0 ? line : line.slice(0, end + 1);
  if (options.includes("\0--help\0") || options.includes("\0-h\0")) return HELP;
  return options.includes("\0--version\0") ? VERSION_LINE : undefined;
}
