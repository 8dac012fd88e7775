/** The entry: chooses. No arguments, the init loop; any argument, the command line, which goes on to the loop if it has nothing to say. */
import { cli } from "./cli.ts";
import { init } from "./init.ts";
import { argumentCount } from "./libc.ts";

if (argumentCount() > 1) cli(Bun.argv.slice(2), init);
else init();
