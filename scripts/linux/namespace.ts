/** New PID namespaces, with what this machine offers: as root, or through a user namespace. */

/** What is appended to this is killed when this process ends, however that ends. */
export const WITH_US = ["setpriv", "--pdeathsig", "KILL"];
const NEW_PID = ["--pid", "--fork", "--kill-child", "--mount-proc"];

/** `unshare` and its options, to which the program to run as PID 1 is appended. */
const AS_ROOT = [...WITH_US, "unshare", ...NEW_PID];
const AS_USER = [...WITH_US, "unshare", "--user", "--map-root-user", ...NEW_PID];

/**
 * A parent of PID 1 that ends as PID 1 does: with its exit status, or by its signal, which a shell tells as a status above
 * 128. The first child of who has unshared its PID namespace becomes PID 1. Some versions of unshare end otherwise than
 * the child that they forked: that of util-linux 2.38 and 2.41 tells of a signal that its own sigprocmask(2) has failed.
 */
const PARENT =
  'exec 3>&2 2>/dev/null; (exec "$@" 2>&3 3>&-); status=$?; [ $status -le 128 ] || kill -$((status - 128)) $$; exit $status';
/** What becomes PID 1: it dies with that parent and has a /proc of its namespace. */
const CHILD = ["unshare", "--mount-proc", "setpriv", "--pdeathsig", "KILL"];

/** A way to run something as PID 1 of a new PID namespace. */
export interface PidNamespace {
  /** The command to which the program and its arguments are appended. */
  readonly command: readonly string[];
  /** The same, which ends as PID 1 does: with its exit status, up to 128, or by the signal that killed it. It takes no more options. */
  readonly faithful: readonly string[];
  /** The command that runs what is appended to it inside the namespaces of the process with this (outer) PID. */
  enter(pid: number): readonly string[];
}

/** Whether `command` may be run here: it is, with `true` as the program. */
function works(command: readonly string[]): boolean {
  return Bun.which(command[0] ?? "") !== null && Bun.spawnSync([...command, "true"]).exitCode === 0;
}

/** The way to a PID namespace on this machine, or undefined where none is allowed. */
export function pidNamespace(): PidNamespace | undefined {
  const faithful = (command: readonly string[]) => [
    ...command.slice(0, command.indexOf("--fork")),
    ...["sh", "-c", PARENT, "sh", ...CHILD],
  ];
  if (works(AS_ROOT)) {
    return {
      command: AS_ROOT,
      faithful: faithful(AS_ROOT),
      enter: (pid) => ["nsenter", "-t", `${pid}`, "-p", "-m"],
    };
  }
  if (works(AS_USER)) {
    return {
      command: AS_USER,
      faithful: faithful(AS_USER),
      enter: (pid) => ["nsenter", "-t", `${pid}`, "-U", "--preserve-credentials", "-p", "-m"],
    };
  }
  return undefined;
}

/** What to tell where there is no way. */
export const NO_PID_NAMESPACE =
  "no PID namespace can be made here: it takes util-linux's unshare and nsenter, and root or user namespaces";
