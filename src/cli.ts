/** The command line: what happens when there are arguments. */
import { printAndExit } from "./print.ts";
import { refuse } from "./refusal.ts";
import { VERSION_LINE } from "./version.ts";

/** What arguments ask for: any `-v` in either case the version, and by citty's rules `--version`, or `--help` or `-h`. */
export function answerOf(args: readonly string[]): "version" | "help" | undefined {
  // One string that Bun searches: a loop of ours over hundreds of arguments would make JavaScriptCore start threads.
  const line = `\0${args.join("\0")}\0`;
  if (line.toLowerCase().includes("\0-v\0")) return "version";
  // What follows `--` is operands, and `--no-NAME` takes back what NAME asks for.
  const end = line.indexOf("\0--\0");
  const options = end < 0 ? line : line.slice(0, end + 1);
  const has = (word: string): boolean => options.includes(`\0${word}\0`);
  const asks = (name: string, letter: string): boolean => !(has(`--no-${name}`) || has(`--no-${letter}`));
  if ((has("--help") || has("-h")) && asks("help", "h")) return "help";
  if (has("--version") && asks("version", "v")) return "version";
  return undefined;
}

/**
 * Acts on the arguments: prints what they ask for and exits 0, or else starts the init loop: a container engine may
 * pass arguments too. Whatever prints never goes on to the loop.
 *
 * @param args the arguments after the program's name
 * @param start the init loop
 */
export function cli(args: readonly string[], start: () => never): void {
  const answer = answerOf(args);
  if (answer === undefined) start();
  if (answer === "version") printAndExit(VERSION_LINE);
  void import("./usage.ts").then(({ usage }) => usage()).then(printAndExit, refuse);
}
