/** The init loop: what PID 1 of a pod does until it is told to stop. */
import { JSCallback, type Pointer } from "bun:ffi";
import {
  exit,
  getpid,
  psignal,
  reapOne,
  SA_NOCLDSTOP,
  SIGCHLD,
  SIGINT,
  SIGTERM,
  type SignalSet,
  STDERR,
  sigaction,
  sigsuspend,
  write,
} from "./libc.ts";
import { HANDLED } from "./signals.ts";

/** Whether a handler ran in the last wait. All that the handlers share with the loop. */
let woken = false;

/** Handler of SIGINT and SIGTERM: says which it was and ends the process with status 0. */
function sigdown(signal: number): void {
  psignal(signal, "Shutting down, got signal");
  exit(0);
}

/** Handler of SIGCHLD: reaps until no dead child is left, for one SIGCHLD may stand for many. */
function sigreap(): void {
  woken = true;
  while (reapOne() > 0);
}

/** Makes `handler` callable from C as a `void (*)(int)`. Module constants below keep it alive. */
function callback(handler: (signal: number) => void): JSCallback & { readonly ptr: Pointer } {
  return new JSCallback(handler, { args: ["i32"], returns: "void" }) as JSCallback & { readonly ptr: Pointer };
}

/**
 * Warns when not PID 1, installs the handlers, reaps what died before, and sleeps.
 *
 * The caller has blocked the handled signals. They are let in only inside sigsuspend(2), a native call from
 * this very thread, so a handler is a synchronous callback and never interrupts JavaScript.
 *
 * @param inherited the mask to sleep with
 * @returns never; the process ends with 0 after SIGINT or SIGTERM, 1, 2 or 3 when the action of SIGINT, SIGTERM or
 *   SIGCHLD is refused, 42 when the kernel refuses the wait
 */
export function init(inherited: SignalSet): never {
  if (getpid() !== 1) write(STDERR, "Warning: pause should be the first process\n");

  const down = callback(sigdown);
  if (sigaction(SIGINT, down.ptr, HANDLED) < 0) exit(1);
  if (sigaction(SIGTERM, down.ptr, HANDLED) < 0) exit(2);
  const reap = callback(sigreap);
  if (sigaction(SIGCHLD, reap.ptr, HANDLED, SA_NOCLDSTOP) < 0) exit(3);

  // A child that died before its SIGCHLD was held back left no signal behind.
  sigreap();

  // sigsuspend(2) comes back only after a handler ran; if none did, it was refused and would be for ever.
  do {
    woken = false;
    sigsuspend(inherited);
  } while (woken);
  write(STDERR, "Error: infinite loop terminated\n");
  exit(42);
}
