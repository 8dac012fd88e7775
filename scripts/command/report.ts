/** Reports: progress on a terminal only, and one clear line when something is wrong. */

/** A foreseen failure, shown as one line without a stack: bad input, a full disk, a mirror that does not answer. */
export class InputError extends Error {}

/** Shows `text` on a terminal only; each call replaces the line before. An empty text clears it. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** Shows `text` and the seconds that `work` has taken so far, on a terminal, until it ends. */
export async function withProgress<T>(text: string, work: Promise<T>): Promise<T> {
  const begin = performance.now();
  const show = () => progress(`${text}: ${Math.round((performance.now() - begin) / 1000)} s`);
  show();
  const timer = setInterval(show, 1000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    progress("");
  }
}

/** Tells the caller something in one line on standard error. The work goes on. */
export function notice(text: string): void {
  progress("");
  process.stderr.write(`note: ${text}\n`);
}

/** The message of anything thrown, on one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, "; ");
}

/** Reports what failed in one line on standard error and exits with status 1. Only an unforeseen error shows its stack. */
export function fail(error: unknown): never {
  progress("");
  const foreseen = error instanceof InputError || (error instanceof Error && "code" in error);
  process.stderr.write(`error: ${messageOf(error)}\n`);
  if (!foreseen && error instanceof Error && error.stack) process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}
