/** Runs a command of this machine for the engine tests. */
import { ROOT } from "../../scripts/command/project.ts";

/** Where a command runs (default: the project's folder), and variables to add to this process's environment. */
export interface Surroundings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command that must succeed and returns what it wrote. Throws with its messages otherwise. */
export async function output(command: readonly string[], { cwd = ROOT, env = {} }: Surroundings = {}): Promise<string> {
  const child = Bun.spawn([...command], { cwd, env: { ...process.env, ...env }, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}: ${stderr}${stdout}`);
  return stdout;
}
