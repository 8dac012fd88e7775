/**
 * What the C reference answers. With a compiler the reference itself is asked, and the record must agree with it;
 * without one the record answers. `npm run record` writes it anew.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { compileReference } from "../../scripts/reference/compile.ts";

/** The file of the record. */
export const RECORD = join(import.meta.dir, "..", "contract", "reference.json");

/** The file in which answers are collected for a new record, or undefined: see contract/record.ts. */
const COLLECTED = process.env["PAUSE_RECORD"];

const record: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(RECORD, "utf8"));

/** What the program prints and what is recorded of it: the version changes, the record should not. */
const [PRINTED, RECORDED] = [`pause.ts ${version}`, "pause.ts VERSION"];

/** Refuses to leave something out of a new record: throws while it is being made if `missing` says that a case cannot be run. */
export function mustRecord(title: string, missing: string | undefined | false): void {
  if (COLLECTED && missing) throw new Error(`cannot record "${title}": ${missing}`);
}

/**
 * What the reference does in the case called `key`, which must be its only name.
 *
 * @param ask observes a program; the answer must be the same on every machine and survive JSON
 * @returns the reference's answer; throws where there is none, or the record says something else
 */
export async function referenceAnswer<T>(key: string, ask: (program: string) => Promise<T>): Promise<T> {
  const reference = compileReference();
  let answer = record[key];
  if (reference) {
    const text = JSON.stringify(await ask(reference)).replaceAll(PRINTED, RECORDED);
    if (COLLECTED) appendFileSync(COLLECTED, `[${JSON.stringify(key)}, ${text}]\n`);
    else if (!Bun.deepEquals(answer, JSON.parse(text))) {
      throw new Error(
        `the record of the reference is stale (npm run record): "${key}" is ${text}, not ${JSON.stringify(answer)}`,
      );
    }
    answer = JSON.parse(text);
  }
  if (answer === undefined) throw new Error(`there is no record of "${key}": npm run record, on a machine with cc`);
  return JSON.parse(JSON.stringify(answer).replaceAll(RECORDED, PRINTED)) as T;
}
