/** Runs a command of this machine to its end. */
import { InputError } from "./report.ts";

/** The end of a command and its output. */
export interface Ran {
  /** Exit status, or 128 and the signal's number if a signal ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The working directory of a command, by default this process's, and variables to add to this process's environment. */
type Surroundings = { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> };

/** Runs `command` without any input. Throws if it cannot be started. */
export async function run(command: readonly string[], { cwd, env }: Surroundings = {}): Promise<Ran> {
  const child = Bun.spawn([...command], {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { status, stdout, stderr };
}

/** The standard output of a command that must succeed. Throws an InputError with all its output if it fails. */
export async function output(command: readonly string[], surroundings?: Surroundings): Promise<string> {
  const { status, stdout, stderr } = await run(command, surroundings);
  if (status !== 0) throw new InputError(`${command.join(" ")}: status ${status}: ${(stderr + stdout).trim()}`);
  return stdout;
}
