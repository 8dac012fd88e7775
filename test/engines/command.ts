/** Runs a command of this machine for the engine tests. */
import { ROOT } from "../../scripts/command/project.ts";
import { output as outputIn, type Surroundings } from "../../scripts/command/run.ts";

/** See run.ts: in the project's folder, if no other is given. */
export function output(command: readonly string[], { cwd = ROOT, env }: Surroundings = {}): Promise<string> {
  return outputIn(command, { cwd, env });
}
