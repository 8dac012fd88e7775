/** What `--help`, `-h` and `--version` say, by citty. In the executable it lies apart from the rest: scripts/build/apart.ts. */
import { stripVTControlCharacters } from "node:util";
import { defineCommand, renderUsage, runCommand } from "citty";
import { description, version } from "../package.json";
import { VERSION_LINE } from "./version.ts";

const command = defineCommand({
  meta: { name: "pause", version, description },
  args: {
    version: { type: "boolean", alias: "v", description: "Print name and version and exit (-v and -V: anywhere)" },
    help: { type: "boolean", alias: "h", description: "Print this help and exit" },
  },
  async run({ args, cmd }): Promise<string | undefined> {
    // Citty colours by the environment alone, even into a pipe: plain text is the same everywhere.
    if (args.help) return `${stripVTControlCharacters(await renderUsage(cmd))}\n`;
    return args.version ? VERSION_LINE : undefined;
  },
});

/** The help or the version, if `args` ask for it; undefined if they do not: `-- --help` is an operand like any other. */
export async function usage(args: readonly string[]): Promise<string | undefined> {
  const { result } = await runCommand(command, { rawArgs: [...args] });
  return result as string | undefined;
}
