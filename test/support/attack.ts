/**
 * An attacker in the pod: tries to get into PID 1 and prints, as JSON, which attempts succeeded. Run as
 * `bun attack.ts` inside the pod's PID namespace, see test/system/outside.test.ts.
 */
import { dlopen, ptr, read } from "bun:ffi";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "u64" },
  process_vm_readv: { args: ["i32", "ptr", "u64", "ptr", "u64", "u64"], returns: "i64" },
  ptrace: { args: ["i64", "i32", "u64", "u64"], returns: "i64" },
  syscall: { args: ["i64", "i64", "i64", "i64"], returns: "i64" },
});

/** sys/ptrace.h, asm-generic/errno-base.h and, the same on x86-64 and arm64, asm/unistd.h. */
const [PTRACE_ATTACH, EFAULT] = [16, 14];
const [SYS_pidfd_open, SYS_pidfd_getfd] = [434, 438];

/** Fails as a system call does. */
function call(result: number | bigint): void {
  if (result < 0) throw new Error("refused");
}

const ATTEMPTS: Readonly<Record<string, () => void>> = {
  "write its memory": () => closeSync(openSync("/proc/1/mem", "r+")),
  "read its memory": () => closeSync(openSync("/proc/1/mem", "r")),
  "read its memory map": () => void readFileSync("/proc/1/maps"),
  "read its environment": () => void readFileSync("/proc/1/environ"),
  "list its descriptors": () => void readdirSync("/proc/1/fd"),
  "open a descriptor of it": () => closeSync(openSync("/proc/1/fd/2", "a")),
  "see its executable": () => void readlinkSync("/proc/1/exe"),
  "enter its root": () => void readdirSync("/proc/1/root/"),
  "see its system call": () => void readFileSync("/proc/1/syscall"),
  "change how likely it is killed for memory": () => closeSync(openSync("/proc/1/oom_score_adj", "r+")),
  "take a descriptor of it": () => {
    const pidfd = libc.syscall(SYS_pidfd_open, 1, 0, 0);
    call(pidfd);
    call(libc.syscall(SYS_pidfd_getfd, pidfd, 2, 0));
  },
  "copy from its memory": () => {
    // Nothing is mapped at address 1. EFAULT means that the attempt got in; otherwise it is EPERM.
    const [here, there] = [new BigUint64Array([BigInt(ptr(new Uint8Array(8))), 1n]), new BigUint64Array([1n, 1n])];
    if (libc.process_vm_readv(1, here, 1, there, 1, 0) < 0 && read.i32(Number(libc.__errno_location())) !== EFAULT)
      call(-1);
  },
  "attach to it with ptrace": () => call(libc.ptrace(PTRACE_ATTACH, 1, 0, 0)),
};

const succeeded = Object.entries(ATTEMPTS).filter(([, attempt]) => {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
});
console.log(JSON.stringify(succeeded.map(([name]) => name)));
