/** The init loop: what PID 1 of a pod does until it is told to stop. */
import { type Arena, createArena, createWorkspace } from "./arena.ts";
import { closeBunDescriptors } from "./descriptors.ts";
import { read } from "./ffi.ts";
import { giveBack } from "./footprint.ts";
import {
  addressOf,
  atExit,
  bind,
  exitNow,
  libc,
  reapAll,
  SA_NOCLDSTOP,
  SA_NOCLDWAIT,
  SIG_IGN,
  SIGCHLD,
  SIGINT,
  SIGTERM,
  STDERR,
  write,
} from "./libc.ts";
import { lock } from "./lock.ts";
import { type Call, ending, leave, reserveEnding } from "./native.ts";
import { handle, holdSignals, SIGNAL_SET } from "./signals.ts";

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
function reportSignalOnExit(arena: Arena): void {
  const { strcpy } = libc;
  // First of all: below it is then the stack of the wait, which exit(3) never returns to.
  const block = reserveEnding(arena, 2);
  const interrupt = arena.reserve(TEXT);
  const text = arena.reserve(TEXT);
  strcpy(interrupt + 1, `${SHUTTING_DOWN}Interrupt\n`);
  strcpy(text + 1, `${SHUTTING_DOWN}Terminated\n`);
  atExit(addressOf("_exit"), 0);
  const copy: Call = [addressOf("strcpy"), text, interrupt];
  const print: Call = [addressOf("fputs"), text + 1, read.ptr(addressOf("stderr"))];
  atExit(addressOf("setcontext"), ending(block, [copy, print]));
  atExit(addressOf("sigaddset"), interrupt);
}

/**
 * Holds the signals, warns when not PID 1, installs the actions, reaps what died before, gives JavaScript's memory back
 * and sleeps.
 *
 * The signals are blocked before any handler exists, and no handler runs JavaScript: handlers and wait are functions of
 * libc. The wait is sigsuspend(2): pause(2) with the inherited mask swapped in by the same step, so no signal can come
 * between letting it in and falling asleep. Only a handler ends it, and both of these end the process. A library that
 * LD_PRELOAD has loaded may have others.
 *
 * @returns never; the process ends with 0 after SIGINT or SIGTERM, 1, 2 or 3 when the action of SIGINT, SIGTERM or
 *   SIGCHLD is refused, 42 when the wait is refused
 */
export function init(): never {
  bind();
  const arena = createArena();
  reportSignalOnExit(arena);
  const inherited = holdSignals(arena);
  if (libc.getpid() !== 1) write(STDERR, "Warning: pause should be the first process\n");

  const shutDown = addressOf("exit");
  if (handle(arena, SIGINT, shutDown) < 0) exitNow(1);
  if (handle(arena, SIGTERM, shutDown) < 0) exitNow(2);
  if (handle(arena, SIGCHLD, SIG_IGN, SA_NOCLDSTOP | SA_NOCLDWAIT) < 0) exitNow(3);
  // From here on the kernel reaps whatever dies; what has died before is reaped here.
  reapAll();

  const terminated: Call = [addressOf("write"), STDERR, arena.placeText(TERMINATED), TERMINATED.length];
  const end: Call[] = [terminated, [addressOf("_exit"), 42]];

  closeBunDescriptors(arena);
  const workspace = createWorkspace();
  const unneeded = giveBack(arena, workspace);
  // Somebody else's handler returns. Then no signal is waited for, which libc repeats after each: sigwait(3).
  const isShared = unneeded.length === 0;
  const none = arena.reserve(SIGNAL_SET);
  const wait: Call = isShared ? [addressOf("sigwait"), none, none] : [addressOf("sigsuspend"), inherited];
  const refused = lock(arena, isShared);
  if (refused) write(STDERR, `Warning: running unlocked: the kernel refused ${refused}\n`);
  leave(arena, workspace, unneeded, wait, isShared ? inherited : 0, end);
}
