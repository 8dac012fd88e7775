/** The entry: chooses. No arguments, the init loop; any argument, the command line, which goes on to the loop if it has nothing to say. */
import { cli } from "./cli.ts";
import { init } from "./init.ts";
import { addressOf } from "./libc.ts";
import { pointerAt, wordAt } from "./memory.ts";

/**
 * How many arguments there are, the program's own name included: `argc` lies where the stack began when the kernel handed
 * it over (System V ABI), which the loader keeps. Bun's own list takes longer to make. Run by a `bun`, Bun's arguments
 * count as well.
 */
function argumentCount(): number {
  return wordAt(pointerAt(addressOf("__libc_stack_end")));
}

if (argumentCount() > 1) cli(Bun.argv.slice(2), init);
else init();
