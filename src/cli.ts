/** The command line: what happens when there are arguments. */
import { printAndExit } from "./print.ts";
import { VERSION_LINE } from "./version.ts";

/**
 * Acts on the arguments: any `-v` in either case prints the version and exits 0; `--help`, `-h` and
 * `--version` are citty's; all others are ignored, for a container engine may pass some.
 *
 * @param args the arguments after the program's name
 * @param start the init loop
 */
export function cli(args: readonly string[], start: () => never): void {
  // One text, in which Bun searches: a loop of ours over hundreds of arguments would have JavaScriptCore start threads.
  if (`\0${args.join("\0")}\0`.toLowerCase().includes("\0-v\0")) printAndExit(VERSION_LINE);
  if (args.includes("--help") || args.includes("-h") || args.includes("--version")) {
    void import("./usage.ts")
      .then(({ usage }) => usage(args))
      .then((text) => (text === undefined ? start() : printAndExit(text)));
  } else start();
}
