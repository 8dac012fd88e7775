/** The init loop: what PID 1 of a pod does until it is told to stop. */
import { type Arena, createArena, createWorkspace } from "./arena.ts";
import { closeBunDescriptors } from "./descriptors.ts";
import { giveBack } from "./footprint.ts";
import {
  ACTION,
  type Address,
  addressOf,
  atExit,
  bind,
  exitNow,
  getpid,
  reapAll,
  SA_NOCLDSTOP,
  SA_NOCLDWAIT,
  SIGCHLD,
  SIGINT,
  SIGTERM,
  STDERR,
  takesSigsuspend,
  write,
  writers,
} from "./libc.ts";
import { isFiltered, lock } from "./lock.ts";
import { pointerAt } from "./memory.ts";
import { type Call, ending, leave } from "./native.ts";
import { handle, holdSignals } from "./signals.ts";

const TERMINATED = "Error: infinite loop terminated\n";

const SHUTTING_DOWN = "Shutting down, got signal: ";
/** Bytes for the line that begins so and names a signal, and for one in front. */
const TEXT = 64;

/**
 * Makes exit(3) say which signal it was and end the process with 0, by functions that need neither heap nor locale:
 * psignal(3) would, from glibc 2.41 on.
 *
 * The handler of SIGINT and SIGTERM is exit(3) itself, which gets the signal's number as its status and hands it on to the
 * exit handlers, the last one first. sigaddset(3) notes it in the byte in front of one text: SIGINT is a bit of that byte,
 * SIGTERM one that the byte behind has anyway, for it is a letter. Unless the byte is still 0, strcpy(3) then copies this
 * text over the other, and fputs(3) writes what is there.
 */
function sayTheSignalAtExit(arena: Arena): void {
  const { strcpy } = writers();
  const interrupt = arena.reserve(TEXT);
  const text = arena.reserve(TEXT);
  strcpy(interrupt + 1, `${SHUTTING_DOWN}Interrupt\n`);
  strcpy(text + 1, `${SHUTTING_DOWN}Terminated\n`);
  atExit(addressOf("_exit"), 0);
  const copy: Call = [addressOf("strcpy"), text, interrupt];
  const print: Call = [addressOf("fputs"), text + 1, pointerAt(addressOf("stderr"))];
  atExit(addressOf("setcontext"), ending(arena, [copy, print]));
  atExit(addressOf("sigaddset"), interrupt);
}

/**
 * The wait, as one call of libc that does not return.
 *
 * lfind(3) looks for a key among elements by a function that compares: here it calls sigsuspend(2) with the mask to sleep
 * with as the key, for each of 2^64 - 1 elements of 0 bytes, until it returns 0, which it never does. sigsuspend(2) is
 * pause(2) with the mask swapped in the same step: no signal can come between letting it in and falling asleep, and
 * nowhere else are the signals let in.
 */
function waitForEver(arena: Arena, mask: Address): Call {
  const elements = arena.place([~0, ~0]);
  return [addressOf("lfind"), mask, 0, elements, 0, addressOf("sigsuspend")];
}

/**
 * Holds the signals, warns when not PID 1, installs the handlers, reaps what died before, gives JavaScript's memory back
 * and sleeps.
 *
 * The handled signals are blocked first thing. From here on JavaScript is never entered again: handlers and wait are
 * functions of libc.
 *
 * @returns never; the process ends with 0 after SIGINT or SIGTERM, 1, 2 or 3 when the action of SIGINT, SIGTERM or
 *   SIGCHLD is refused, 42 when the wait is refused or ends
 */
export function init(): never {
  bind();
  const arena = createArena();
  const inherited = holdSignals(arena);
  if (getpid() !== 1) write(STDERR, "Warning: pause should be the first process\n");

  sayTheSignalAtExit(arena);
  const shutDown = addressOf("exit");
  const action = arena.reserve(ACTION);
  if (handle(arena, action, SIGINT, shutDown) < 0) exitNow(1);
  if (handle(arena, action, SIGTERM, shutDown) < 0) exitNow(2);
  // A child's death only wakes the wait: abs(3) takes a number and does nothing with it but return.
  const wakeUp = addressOf("abs");
  if (handle(arena, action, SIGCHLD, wakeUp, SA_NOCLDSTOP | SA_NOCLDWAIT) < 0) exitNow(3);
  // From here on the kernel reaps whatever dies; what has died before is reaped here.
  reapAll();
  // Where a filter refuses to wait the loop would spin for ever; without a filter nothing can.
  if (isFiltered() && !takesSigsuspend()) {
    write(STDERR, TERMINATED);
    exitNow(42);
  }

  const wait = waitForEver(arena, inherited);
  const terminated: Call = [addressOf("write"), STDERR, arena.placeText(TERMINATED), TERMINATED.length];
  const end: Call[] = [terminated, [addressOf("_exit"), 42]];

  closeBunDescriptors(arena);
  const workspace = createWorkspace();
  const unneeded = giveBack(arena, workspace);
  const refused = lock(arena);
  if (refused) write(STDERR, `Warning: running unlocked: the kernel refused ${refused}\n`);
  leave(arena, workspace, unneeded, wait, end);
}
