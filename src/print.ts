/**
 * Prints and ends, as a C program does that calls puts(3) and returns.
 *
 * A binding to libc of its own, with three functions: libc.ts, which the init loop needs, would take `-v` longer to
 * bind than all else it does.
 */
import { dlopen } from "bun:ffi";

/** Write to a pipe with no reader: signal(7). The runtime ignores it; a C program dies of it unless its parent said otherwise. */
const SIGPIPE = 13;
/** File descriptor of standard output: stdin(3). */
const STDOUT = 1;
/** Bytes of a `struct sigaction`; all zero it is the default action: bits/sigaction.h. */
const SIGACTION_SIZE = 152;

/**
 * Writes `text`, which must be ASCII, to standard output and exits 0, also where it cannot be written: write(2),
 * _exit(2).
 */
export function printAndExit(text: string): never {
  const { symbols } = dlopen("libc.so.6", {
    sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
    write: { args: ["i32", "cstring", "u64"], returns: "i64" },
    _exit: { args: ["i32"], returns: "void" },
  });
  symbols.sigaction(SIGPIPE, new Uint8Array(SIGACTION_SIZE), null);
  symbols.write(STDOUT, text, text.length);
  symbols._exit(0);
  throw new Error("unreachable: _exit(2) does not return");
}
