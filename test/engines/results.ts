/** Keeps what the engine tests measured: printed, and collected in dist/engines.json. */
import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

const PATH = join(import.meta.dir, "..", "..", "dist", "engines.json");

/** Prints `values` and puts them under `name` in dist/engines.json, replacing an earlier run's. */
export async function record(name: string, values: Readonly<Record<string, unknown>>): Promise<void> {
  console.log(`${name}: ${JSON.stringify(values)}`);
  const file = Bun.file(PATH);
  const all = (await file.exists()) ? ((await file.json()) as Record<string, unknown>) : {};
  await mkdir(dirname(PATH), { recursive: true });
  await Bun.write(`${PATH}.part`, `${JSON.stringify({ ...all, [name]: values }, undefined, 2)}\n`);
  await rename(`${PATH}.part`, PATH);
}
