/** Pause's output on standard error, to the byte. */

/** The warning of a pause that is not PID 1. */
export const NOT_FIRST = "Warning: pause should be the first process\n";

/** The last line after SIGTERM. */
export const TERMINATED = "Shutting down, got signal: Terminated\n";
