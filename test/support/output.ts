/** What pause writes to standard error, to the byte. */
import { SIGINT, SIGTERM } from "../../scripts/linux/signals.ts";

/** What a pause says that is not PID 1. */
export const NOT_FIRST = "Warning: pause should be the first process\n";

/** The last thing it says, after SIGTERM. */
export const TERMINATED = "Shutting down, got signal: Terminated\n";

/** The signals that end it, and what it says then. */
export const ENDINGS = [
  [SIGINT, "Shutting down, got signal: Interrupt\n"],
  [SIGTERM, TERMINATED],
] as const;
