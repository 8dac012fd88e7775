/** The entry point. Without arguments it starts the init loop, with any the command line; if libc cannot be called, it says so. */
import { answerOf, cli } from "./cli.ts";
import { init } from "./init.ts";
import { addressOf, bindFirst } from "./libc.ts";
import { pointerAt, wordAt } from "./memory.ts";
import { refuse } from "./refusal.ts";
import { VERSION_LINE } from "./version.ts";

/**
 * How many arguments there are, the program's own name included: `argc` lies where the stack began when the kernel handed
 * it over (System V ABI), which the loader keeps. Bun's own list takes longer to make. Run by a `bun`, Bun's arguments
 * count as well.
 */
function argumentCount(): number {
  return wordAt(pointerAt(addressOf("__libc_stack_end")));
}

/** What keeps libc from being called, if anything does. */
function obstacle(): string | undefined {
  try {
    bindFirst();
    return undefined;
  } catch {
    return "cannot call libc: no memory may become code, which PR_SET_MDWE, MemoryDenyWriteExecute= or SELinux (execmem) forbids";
  }
}

const missing = obstacle();
if (missing !== undefined) refuse(missing, answerOf(Bun.argv.slice(2)) === "version" ? VERSION_LINE : undefined);
try {
  if (argumentCount() > 1) cli(Bun.argv.slice(2), init);
  else init();
} catch (error) {
  refuse(error);
}
