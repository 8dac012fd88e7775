/** Pause's output on standard error, to the byte. */
import { SIGINT, SIGTERM } from "../../scripts/linux/signals.ts";

/** The warning of a pause that is not PID 1. */
export const NOT_FIRST = "Warning: pause should be the first process\n";

/** The last line after SIGTERM. */
export const TERMINATED = "Shutting down, got signal: Terminated\n";

/** The signals that end it, and the last line after each. */
export const ENDINGS = [
  [SIGINT, "Shutting down, got signal: Interrupt\n"],
  [SIGTERM, TERMINATED],
] as const;
