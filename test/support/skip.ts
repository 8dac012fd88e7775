/** Defines tests that this machine may lack something for: then they are skipped, with the reason in the title. */
import { dlopen } from "bun:ffi";
import { test } from "bun:test";
import { networkInterfaces } from "node:os";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { mask, status } from "../../scripts/linux/proc.ts";
import { NAMESPACE } from "./subject.ts";

/** Whether these tests run as root. */
export const IS_ROOT: boolean = process.getuid?.() === 0;

/** Why what takes root is skipped here, or undefined if it is not. */
export const NEEDS_ROOT: string | undefined = IS_ROOT ? undefined : "needs root";

/** Why what asks a server of this machine's own is skipped here, or undefined if it is not. */
export const NEEDS_LOOPBACK: string | undefined = Object.values(networkInterfaces())
  .flat()
  .some((network) => network?.address === "127.0.0.1")
  ? undefined
  : "there is no loopback interface";

/** CAP_SYS_PTRACE of capabilities(7), as a bit of CapEff: what is not dumpable is to be seen with it alone. */
const CAP_SYS_PTRACE = 1n << 19n;

/** Why what looks into a locked pause is skipped here, or undefined if it is not. */
export const NEEDS_PTRACE: string | undefined =
  (mask(status(process.pid), "CapEff") & CAP_SYS_PTRACE) === 0n ? "needs root, with CAP_SYS_PTRACE" : undefined;

/** Why what takes a PID 1 is skipped here, or undefined if it is not. */
export const NEEDS_PID_ONE: string | undefined = NAMESPACE ? undefined : NO_PID_NAMESPACE;

/** Why what takes strace is skipped here, or undefined if it is not. */
const NEEDS_STRACE: string | undefined = Bun.which("strace") ? undefined : "strace is not installed";

/** PR_GET_MDWE of prctl(2): whether memory may become code. Kernels before 6.3 do not know it. */
const PR_GET_MDWE = 66;
const { prctl } = dlopen("libc.so.6", { prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } }).symbols;

/** Why what forbids memory to become code is skipped here, or undefined if it is not. */
export const NEEDS_MDWE: string | undefined =
  prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0 ? "the kernel has no PR_SET_MDWE: before 6.3" : undefined;

/** Why what traces a PID 1 is skipped here, or undefined if it is not: only root may trace a process that is not dumpable. */
export const NEEDS_TRACING: string | undefined = NEEDS_PID_ONE ?? NEEDS_STRACE ?? NEEDS_ROOT;

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
