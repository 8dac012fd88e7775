/** The reasons to skip a test, all of them, and tests that are skipped for one. */
import { dlopen } from "bun:ffi";
import { test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { ROOT } from "../../scripts/command/project.ts";
import { NO_PID_NAMESPACE } from "../../scripts/linux/namespace.ts";
import { mask, status } from "../../scripts/linux/proc.ts";
import { NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { isOpenToOthers, NAMESPACE } from "./subject.ts";

/** True if these tests run as root. */
export const IS_ROOT: boolean = process.getuid?.() === 0;

/** The reason to skip what needs root, or undefined; likewise below. */
export const NEEDS_ROOT: string | undefined = IS_ROOT ? undefined : "needs root";

/** … what asks a server on this machine. */
export const NEEDS_LOOPBACK: string | undefined = Object.values(networkInterfaces())
  .flat()
  .some((network) => network?.address === "127.0.0.1")
  ? undefined
  : "there is no loopback interface";

/** CAP_SYS_PTRACE of capabilities(7), as a bit of CapEff: it is needed to look into a process that is not dumpable. */
const CAP_SYS_PTRACE = 1n << 19n;

/** … what looks into a locked pause. */
export const NEEDS_PTRACE: string | undefined =
  (mask(status(process.pid), "CapEff") & CAP_SYS_PTRACE) === 0n ? "needs root, with CAP_SYS_PTRACE" : undefined;

/** … what needs a PID 1. */
export const NEEDS_PID_ONE: string | undefined = NAMESPACE ? undefined : NO_PID_NAMESPACE;

/** … what runs as another user than root. */
export const NEEDS_OTHER_USER: string | undefined =
  NEEDS_ROOT ??
  ([ROOT, tmpdir()].some(isOpenToOthers) ? undefined : "no other user may enter the folder for temporary files");

/** … what asks the C reference alone. */
export const NEEDS_CC: string | undefined = Bun.which("cc") ? undefined : NO_REFERENCE;

/** PR_GET_MDWE of prctl(2). Kernels before 6.3 do not know it. */
const PR_GET_MDWE = 66;
const { prctl } = dlopen("libc.so.6", { prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } }).symbols;

/** … what forbids executable memory. */
export const NEEDS_MDWE: string | undefined =
  prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0 ? "the kernel has no PR_SET_MDWE: before 6.3" : undefined;

/** … what reads the memory of a child: a kernel may deny even that. */
export const MEMORY_DENIED: string | undefined = (() => {
  const child = Bun.spawn(["/bin/sleep", "60"]);
  try {
    closeSync(openSync(`/proc/${child.pid}/mem`, "r"));
    return undefined;
  } catch {
    return "the kernel lets no process read another's memory";
  } finally {
    child.kill("SIGKILL");
  }
})();

/** … what traces a PID 1: only root may trace a process that is not dumpable. */
export const NEEDS_TRACING: string | undefined = NEEDS_PID_ONE ?? notInstalled("strace") ?? NEEDS_ROOT;

/** The reason to skip what needs all of `commands`, or undefined if they are installed. */
export function notInstalled(...commands: readonly string[]): string | undefined {
  const lacking = commands.filter((command) => !Bun.which(command));
  return lacking.length > 0 ? `not installed: ${lacking.join(", ")}` : undefined;
}

/**
 * Defines a test that is skipped, with the reason in its title, unless there is none.
 *
 * @param missing what this machine lacks for it; undefined, false or empty if nothing
 */
export function testUnless(missing: string | undefined | false, title: string, body: () => void | Promise<void>): void {
  test.skipIf(Boolean(missing))(missing ? `${title} (skipped: ${missing})` : title, body);
}
