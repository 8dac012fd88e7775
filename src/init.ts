/** The init loop: what PID 1 of a pod does until it is told to stop. */
import { type Block, createBlock } from "./block.ts";
import { closeRuntimeDescriptors } from "./descriptors.ts";
import { giveBack } from "./footprint.ts";
import {
  ACTION,
  type Address,
  addressOf,
  atExit,
  bind,
  exitNow,
  getpid,
  isFiltered,
  onExit,
  pointerAt,
  raiseAndSuspend,
  reapAll,
  SA_NOCLDSTOP,
  SA_NOCLDWAIT,
  SA_RESETHAND,
  SIG_DFL,
  SIGCHLD,
  SIGINT,
  SIGNAL_SET,
  SIGTERM,
  STDERR,
  sigaction,
  wordAt,
  write,
} from "./libc.ts";
import { lock } from "./lock.ts";
import { type Call, leave } from "./native.ts";
import { HANDLED, handle, holdSignals } from "./signals.ts";

const TERMINATED = "Error: infinite loop terminated\n";

/**
 * What SIGINT and SIGTERM do, as libc does it: their handler is exit(3), which gets the signal's number as its
 * status and hands it to the exit handlers, the last one first: psignal(3) says which signal it was, _exit(2) ends
 * the process with 0.
 */
function sigdown(block: Block): void {
  atExit(addressOf("_exit"), 0);
  onExit(addressOf("psignal"), block.placeText("Shutting down, got signal"));
}

/**
 * Whether the kernel lets this process wait: a SIGCHLD of its own must reach the handler, which is installed for one
 * call only. Where a filter refuses sigsuspend(2) the loop would otherwise spin for ever; without a filter nothing can.
 *
 * @param inherited where the mask as inherited is: nothing else is let in here that was blocked, nor INT and TERM
 */
function canWait(block: Block, inherited: Address): boolean {
  if (!isFiltered()) return true;
  const trial = block.reserve(SIGNAL_SET);
  block.store(trial, [((wordAt(inherited) | HANDLED) & ~(1 << (SIGCHLD - 1))) >>> 0]);
  block.store(trial + 4, [wordAt(inherited + 4)]);
  raiseAndSuspend(SIGCHLD, trial);
  const now = block.reserve(ACTION);
  sigaction(SIGCHLD, 0, now);
  return pointerAt(now) === SIG_DFL;
}

/**
 * Holds the signals, warns when not PID 1, installs the handlers, reaps what died before, gives JavaScript's memory back and sleeps.
 *
 * The handled signals are blocked first thing. From here on JavaScript is never entered again: handlers and wait
 * are functions of libc. lfind(3) calls sigsuspend(2) with its key, the mask as inherited, for each of 2^64 - 1
 * elements of 0 bytes, until it returns 0, which it never does. Nowhere else are the signals let in.
 *
 * @returns never; the process ends with 0 after SIGINT or SIGTERM, 1, 2 or 3 when the action of SIGINT, SIGTERM or
 *   SIGCHLD is refused, 42 when the wait is refused or ends
 */
export function init(): never {
  bind();
  const block = createBlock();
  const inherited = holdSignals(block);
  if (getpid() !== 1) write(STDERR, "Warning: pause should be the first process\n");

  sigdown(block);
  const exit = addressOf("exit");
  const action = block.reserve(ACTION);
  if (handle(block, action, SIGINT, exit) < 0) exitNow(1);
  if (handle(block, action, SIGTERM, exit) < 0) exitNow(2);
  // abs(3) takes a number and does nothing with it but return.
  const nothing = addressOf("abs");
  if (handle(block, action, SIGCHLD, nothing, SA_NOCLDSTOP | SA_RESETHAND) < 0) exitNow(3);
  if (!canWait(block, inherited)) {
    write(STDERR, TERMINATED);
    exitNow(42);
  }
  // From here on the kernel reaps whatever dies; what has died before is reaped here.
  if (handle(block, action, SIGCHLD, nothing, SA_NOCLDSTOP | SA_NOCLDWAIT) < 0) exitNow(3);
  reapAll();

  const forEver = block.place([~0, ~0]);
  const wait: Call = [addressOf("lfind"), inherited, 0, forEver, 0, addressOf("sigsuspend")];
  const terminated: Call = [addressOf("write"), STDERR, block.placeText(TERMINATED), TERMINATED.length];
  const end: Call[] = [terminated, [addressOf("_exit"), 42]];
  const unneeded = giveBack(block);

  closeRuntimeDescriptors(block);
  const refused = lock(block);
  if (refused) write(STDERR, `Warning: running unlocked: the kernel refused ${refused}\n`);
  leave(block, unneeded, wait, end);
}
