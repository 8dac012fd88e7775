/**
 * Locks itself with the sources of the container and then tries system calls: those with the numbers from the first
 * argument up to, not including, the second. Compiled and run by lock.test.ts. Prints, on standard error, the
 * numbers of the calls that did anything but fail with EPERM.
 */
import { dlopen, read } from "bun:ffi";
import { createArena } from "../../src/arena.ts";
import { bind, bindFirst, exitNow, STDERR, write } from "../../src/libc.ts";
import { lock } from "../../src/lock.ts";

const EPERM = 1;
const [first, end] = process.argv.slice(2).map(Number) as [number, number];

const { symbols: libc } = dlopen("libc.so.6", {
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64" },
  __errno_location: { args: [], returns: "ptr" },
});
const errno = Number(libc.__errno_location());

/**
 * The calls that would end this very program before it reports: exit_group, rt_sigreturn, rt_sigsuspend; on x86-64
 * also uretprobe and uprobe, the kernel's own trampolines, which pass every filter and answer others with SIGILL.
 */
const deadly = process.arch === "arm64" ? [94, 139, 133] : [231, 15, 130, 335, 336];

let done = "";
bindFirst();
bind();
const refused = lock(createArena(), false);
for (let call = first; call < end; call++) {
  if (deadly.includes(call)) continue;
  const result = libc.syscall(call, 0, 0, 0, 0, 0);
  if (Number(result) !== -1 || read.i32(errno) !== EPERM) done += `${call} `;
}
write(STDERR, refused ?? done);
exitNow(0);
