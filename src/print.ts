/** Prints and ends, as a C program does that calls puts(3) and returns. */
import { exitNow, STDOUT, write } from "./libc.ts";

/**
 * Writes `text`, which must be ASCII, to standard output and exits 0, also where it cannot be written: write(2),
 * _exit(2).
 */
export function printAndExit(text: string): never {
  write(STDOUT, text);
  exitNow(0);
}
