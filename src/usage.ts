/** What `--help`, `-h` and `--version` do, by citty. */
import { stripVTControlCharacters } from "node:util";
import { defineCommand, renderUsage, runCommand } from "citty";
import { description, version } from "../package.json";
import { printAndExit } from "./print.ts";
import { VERSION_LINE } from "./version.ts";

const command = defineCommand({
  meta: { name: "pause", version, description },
  args: {
    version: { type: "boolean", alias: "v", description: "Print name and version and exit (-v and -V: anywhere)" },
    help: { type: "boolean", alias: "h", description: "Print this help and exit" },
  },
  async run({ args, cmd }) {
    // Citty colours by the environment alone, even into a pipe: plain text is the same everywhere.
    if (args.help) printAndExit(`${stripVTControlCharacters(await renderUsage(cmd))}\n`);
    if (args.version) printAndExit(VERSION_LINE);
  },
});

/**
 * Prints the help or the version and exits 0 if `args` ask for it.
 * Returns if they do not: `-- --help` is an operand like any other.
 */
export async function usage(args: readonly string[]): Promise<void> {
  await runCommand(command, { rawArgs: [...args] });
}
