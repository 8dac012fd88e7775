/**
 * What the C reference answers. With a compiler the reference itself is asked, and the record must agree with it;
 * without one the record answers. `npm run record` writes it anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { compileReference } from "../../scripts/reference/compile.ts";

const PATH = join(import.meta.dir, "..", "contract", "reference.json");

/** Whether the record is being written. */
const RECORDING = process.env["PAUSE_RECORD"] === "1";

if (RECORDING && !Bun.which("cc")) throw new Error("recording takes a C compiler (cc)");

const record: Record<string, unknown> = RECORDING ? {} : JSON.parse(readFileSync(PATH, "utf8"));

/** What the program prints and what is recorded of it: the version changes, the record should not. */
const [PRINTED, RECORDED] = [`pause.ts ${version}`, "pause.ts VERSION"];

/** One answer a line, by key: a difference is a line. */
function save(): void {
  const lines = Object.keys(record)
    .sort()
    .map((key) => `  ${JSON.stringify(key)}: ${JSON.stringify(record[key])}`);
  writeFileSync(PATH, `{\n${lines.join(",\n")}\n}\n`);
}

/** Refuses to leave something out of the record: throws while it is being written if `missing` says that a case cannot be run. */
export function mustRecord(title: string, missing: string | undefined | false): void {
  if (RECORDING && missing) throw new Error(`cannot record "${title}": ${missing}`);
}

/**
 * What the reference does in the case called `key`, which must be its only name.
 *
 * @param ask observes a program; the answer must be the same on every machine and survive JSON
 * @returns the reference's answer; throws where there is none, or the record says something else
 */
export async function referenceAnswer<T>(key: string, ask: (program: string) => Promise<T>): Promise<T> {
  const reference = compileReference();
  if (reference) {
    const text = JSON.stringify(await ask(reference)).replaceAll(PRINTED, RECORDED);
    if (RECORDING) {
      if (key in record) throw new Error(`two cases are called "${key}"`);
      record[key] = JSON.parse(text);
      save();
    } else if (!Bun.deepEquals(record[key], JSON.parse(text))) {
      throw new Error(
        `the record of the reference is stale (npm run record): "${key}" is ${text}, not ${JSON.stringify(record[key])}`,
      );
    }
  }
  if (!(key in record)) throw new Error(`there is no record of "${key}": npm run record, on a machine with cc`);
  return JSON.parse(JSON.stringify(record[key]).replaceAll(RECORDED, PRINTED)) as T;
}
