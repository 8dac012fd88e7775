/** Prints and ends, as a C program does that calls puts(3) and returns. */
import { exitNow, SIG_DFL, sigaction, write } from "./libc.ts";

/** Write to a pipe with no reader: signal(7). The runtime ignores it; a C program dies of it unless its parent said otherwise. */
const SIGPIPE = 13;
/** File descriptor of standard output: stdin(3). */
const STDOUT = 1;

/**
 * Writes `text`, which must be ASCII, to standard output and exits 0, also where it cannot be written: write(2),
 * _exit(2).
 */
export function printAndExit(text: string): never {
  sigaction(SIGPIPE, SIG_DFL);
  write(STDOUT, text);
  exitNow(0);
}
