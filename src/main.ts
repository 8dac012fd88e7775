/** The entry: chooses. No arguments, the init loop; any argument, the command line, which goes on to the loop if it has nothing to say. */
import { cli } from "./cli.ts";

/**
 * The init loop, loaded when it is needed and not before: `-v` must not pay for it. An import would be hoisted, and a
 * dynamic one would wait for a promise.
 */
function start(): never {
  const { init } = require("./init.ts") as typeof import("./init.ts");
  return init();
}

if (Bun.argv.length > 2) cli(Bun.argv.slice(2), start);
else start();
