/** Exits when a start cannot go on. */

/** The exit status of a start for which something is missing: EX_OSERR of sysexits.h. No C pause ends with it. */
const STATUS = 71;

/**
 * Says in one line on standard error what is missing and ends with status 71. Works without libc: Bun itself writes.
 *
 * @param why what is missing, or an error that says so
 * @param instead what to print on standard output instead, ending with 0: the version needs nothing
 */
export function refuse(why: unknown, instead?: string): never {
  if (instead === undefined) console.error(`Error: ${why instanceof Error ? why.message : why}`);
  else console.log(instead.trimEnd());
  process.exit(instead === undefined ? STATUS : 0);
}
