/** The help, which citty renders when the executable is compiled: nothing of citty is in it. */
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

/** Returns the help. To be imported as a macro, whose value Bun waits for before it puts it in place of the call. */
export async function usage(): Promise<string> {
  // Citty colours by the environment alone: plain text is the same everywhere.
  return `${stripVTControlCharacters(await renderUsage(command))}\n`;
}
