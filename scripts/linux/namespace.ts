/** New PID namespaces, with the means of this machine: as root, or through a user namespace. */

/** The start of a command that is killed when this process ends, however that ends. */
export const WITH_US = ["setpriv", "--pdeathsig", "KILL"];

/**
 * A parent of PID 1 that ends as PID 1 does: with its exit status, or by its signal, which a shell reports as a status above
 * 128. Once a process has unshared its PID namespace, its first child is PID 1. `unshare --fork` may end otherwise than that
 * child: util-linux 2.38 and 2.41 report of a signal that their own sigprocmask(2) has failed.
 */
const PARENT =
  'exec 3>&2 2>/dev/null; (exec "$@" 2>&3 3>&-); status=$?; [ $status -le 128 ] || kill -$((status - 128)) $$; exit $status';

/** The start of a command that becomes PID 1, with options for unshare(1). It dies with its parent and has its own /proc. */
const toPidOne = (...unshare: readonly string[]) => [
  ...[...WITH_US, "unshare", ...unshare, "--pid"],
  ...["sh", "-c", PARENT, "sh", "unshare", "--mount-proc", ...WITH_US],
];

/** A way to run something as PID 1 of a new PID namespace. */
export interface PidNamespace {
  /** The start of the command: it ends as PID 1 does, with its exit status, up to 128, or by its signal. */
  readonly command: readonly string[];
  /** The command that runs what is appended to it inside the namespaces of the process with this (outer) PID. */
  enter(pid: number): readonly string[];
}

/** True if `command` may be run here: it is, with `true` as the program. */
function works(command: readonly string[]): boolean {
  return Bun.which(command[0] ?? "") !== null && Bun.spawnSync([...command, "true"]).exitCode === 0;
}

/** The way to a PID namespace on this machine, or undefined where none is allowed. */
export function pidNamespace(): PidNamespace | undefined {
  const enter =
    (...options: readonly string[]) =>
    (pid: number) => ["nsenter", "-t", `${pid}`, ...options, "-p", "-m"];
  const [asRoot, asUser] = [toPidOne(), toPidOne("--user", "--map-root-user")];
  if (works(asRoot)) return { command: asRoot, enter: enter() };
  return works(asUser) ? { command: asUser, enter: enter("-U", "--preserve-credentials") } : undefined;
}

/** The reason, where there is none. */
export const NO_PID_NAMESPACE =
  "no PID namespace can be made here: that needs util-linux's unshare and nsenter, and root or user namespaces";
