/** New PID namespaces, with what this machine offers: as root, or through a user namespace. */

/** What is appended to this is killed when this process ends, however that ends. */
export const WITH_US = ["setpriv", "--pdeathsig", "KILL"];
const NEW_PID = ["--pid", "--fork", "--kill-child", "--mount-proc"];

/** `unshare` and its options, to which the program to run as PID 1 is appended. */
const AS_ROOT = [...WITH_US, "unshare", ...NEW_PID];
const AS_USER = [...WITH_US, "unshare", "--user", "--map-root-user", ...NEW_PID];

/** A way to run something as PID 1 of a new PID namespace. */
export interface PidNamespace {
  /** The command to which the program and its arguments are appended. */
  readonly command: readonly string[];
  /** The command that runs what is appended to it inside the namespaces of the process with this (outer) PID. */
  enter(pid: number): readonly string[];
}

/** Whether `command` may be run here: it is, with `true` as the program. */
function works(command: readonly string[]): boolean {
  return Bun.which(command[0] ?? "") !== null && Bun.spawnSync([...command, "true"]).exitCode === 0;
}

/** The way to a PID namespace on this machine, or undefined where none is allowed. */
export function pidNamespace(): PidNamespace | undefined {
  if (works(AS_ROOT)) return { command: AS_ROOT, enter: (pid) => ["nsenter", "-t", `${pid}`, "-p", "-m"] };
  if (works(AS_USER)) {
    return {
      command: AS_USER,
      enter: (pid) => ["nsenter", "-t", `${pid}`, "-U", "--preserve-credentials", "-p", "-m"],
    };
  }
  return undefined;
}

/** What to tell where there is no way. */
export const NO_PID_NAMESPACE =
  "no PID namespace can be made here: it takes util-linux's unshare and nsenter, and root or user namespaces";
