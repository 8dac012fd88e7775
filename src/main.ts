/** The entry point: prints what the arguments ask for, or starts the init loop. If libc cannot be called, it says so. */
import { answer } from "./cli.ts";
import { read } from "./ffi.ts";
import { init } from "./init.ts";
import { addressOf, bindFirst, exitNow, STDOUT, write } from "./libc.ts";
import { refuse } from "./refusal.ts";
import { VERSION_LINE } from "./version.ts";

/**
 * Returns how many arguments there are, the program's own name included: `argc` lies where the stack began when the kernel
 * handed it over (System V ABI), which the loader keeps. Bun's own list takes longer to make. Run by a `bun`, Bun's
 * arguments count as well.
 */
function argumentCount(): number {
  return read.u32(read.ptr(addressOf("__libc_stack_end")));
}

/** Returns the reason why libc cannot be called, if there is one. */
function obstacle(): string | undefined {
  try {
    bindFirst();
    return undefined;
  } catch {
    return "cannot call libc: no memory may become code, which PR_SET_MDWE, MemoryDenyWriteExecute= or SELinux (execmem) forbids";
  }
}

const missing = obstacle();
// The version needs nothing.
if (missing !== undefined) refuse(missing, answer(Bun.argv.slice(2)) === VERSION_LINE ? VERSION_LINE : undefined);
try {
  const text = argumentCount() > 1 ? answer(Bun.argv.slice(2)) : undefined;
  if (text === undefined) init();
  // As a C program that calls puts(3) and returns: 0 also where it cannot be written.
  write(STDOUT, text);
  exitNow(0);
} catch (error) {
  refuse(error);
}
