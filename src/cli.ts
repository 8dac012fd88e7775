/** The command line: what happens when there are arguments. Never loaded in a pod that has none. */
import { version } from "../package.json";
import { exitNow, STDOUT, write } from "./libc.ts";

/** The arguments that are citty's business. */
const USAGE = new Set(["--help", "-h", "--version"]);

/**
 * Acts on the arguments: any `-v` in either case prints the version and exits 0; `--help`, `-h` and
 * `--version` are citty's; all others are ignored, for a runtime may pass some.
 *
 * @param args the arguments after the program's name
 * @param start the init loop
 */
export async function cli(args: readonly string[], start: () => never): Promise<void> {
  if (args.some((arg) => arg.toLowerCase() === "-v")) {
    write(STDOUT, `pause.ts ${version}\n`);
    exitNow(0);
  }
  if (args.some((arg) => USAGE.has(arg))) {
    const { usage } = await import("./usage.ts");
    await usage(args);
  }
  start();
}
