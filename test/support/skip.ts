/** Defines tests that this machine may lack something for: then they are skipped, with the reason in the title. */
import { test } from "bun:test";

/**
 * Defines a test.
 *
 * @param missing what this machine lacks for it; undefined, false or empty if nothing
 * @param timeout in milliseconds; the runner's own if left out
 */
export function testIf(
  missing: string | undefined | false,
  title: string,
  body: () => void | Promise<void>,
  timeout?: number,
): void {
  test.skipIf(Boolean(missing))(missing ? `${title} (skipped: ${missing})` : title, body, timeout);
}
