/** What a pause at rest may weigh, on a machine with pages of any size. */
import { dlopen } from "bun:ffi";
import { expect } from "bun:test";
import type { Status } from "../../scripts/linux/proc.ts";

/** KiB of a page: getpagesize(2). */
export const PAGE: number =
  dlopen("libc.so.6", { getpagesize: { args: [], returns: "i32" } }).symbols.getpagesize() / 1024;

/**
 * The most that may be its own (RssAnon), and mapped (VmSize, which RSS cannot exceed), in KiB. At rest they are 104 to
 * 124 and some 2,550 with pages of 4 KiB, 192 to 224 and 448 of the first with 16 and 64 KiB. With JavaScript's memory or
 * the executable they are 1,700 and 6,000,000; with the other libraries VmSize is 900 more.
 */
const [ANONYMOUS, MAPPED] = [96 + 10 * PAGE, 3072 + 16 * PAGE];

/** Expects that a pause of which `now` is the status has given back what it can. */
export function expectLight(now: Status | undefined): void {
  expect(Number.parseInt(now?.["RssAnon"] ?? "", 10)).toBeLessThanOrEqual(ANONYMOUS);
  expect(Number.parseInt(now?.["VmSize"] ?? "", 10)).toBeLessThanOrEqual(MAPPED);
}
