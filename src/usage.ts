/** What `--help` and `-h` print, by citty. In the executable it is separate from the rest: scripts/executable/apart.ts. */
import { stripVTControlCharacters } from "node:util";
import { defineCommand, renderUsage } from "citty";
import { description, version } from "../package.json";

const command = defineCommand({
  meta: { name: "pause", version, description },
  args: {
    version: { type: "boolean", alias: "v", description: "Print name and version and exit (-v and -V: anywhere)" },
    help: { type: "boolean", alias: "h", description: "Print this help and exit" },
  },
});

/** The help as text. */
export async function usage(): Promise<string> {
  // Citty colours by the environment alone, even into a pipe: plain text is the same everywhere.
  return `${stripVTControlCharacters(await renderUsage(command))}\n`;
}
