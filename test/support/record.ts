/**
 * The answers of the C reference. With a compiler the reference itself is asked, and the record must agree with it;
 * without one the record answers. `npm run record` writes it anew.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { compileReference } from "../../scripts/reference/compile.ts";

/** The file of the record: an answer for each case, or one for each placement of a case. */
export const RECORD = join(import.meta.dir, "..", "contract", "reference.json");

/** The file in which answers are collected for a new record, or undefined: see contract/record.ts. */
const COLLECTED = process.env["PAUSE_RECORD"];

const record: Readonly<Record<string, Readonly<Record<string, unknown>>>> = JSON.parse(readFileSync(RECORD, "utf8"));

/** The text that the program prints and the one that is recorded: the version changes, the record should not. */
const [PRINTED, RECORDED] = [`pause.ts ${version}`, "pause.ts VERSION"];

/** The placements of a program: each case has an answer for one of them or for both. */
export type Place = "PID 1" | "another PID";

/** Refuses to leave something out of a new record: throws while it is being made if `missing` says that a case cannot be run. */
export function mustRecord(title: string, missing: string | undefined | false): void {
  if (COLLECTED && missing) throw new Error(`cannot record "${title}": ${missing}`);
}

/**
 * The reference's answer in the case called `name`.
 *
 * @param ask observes a program; the answer must be the same on every machine and survive JSON
 *
 * Throws if there is none, or the record says something else.
 */
export async function referenceAnswer<T>(name: string, place: Place, ask: (program: string) => Promise<T>): Promise<T> {
  const reference = compileReference();
  let answer = record[name]?.[place];
  if (reference) {
    const text = JSON.stringify(await ask(reference)).replaceAll(PRINTED, RECORDED);
    if (COLLECTED) appendFileSync(COLLECTED, `{"name":${JSON.stringify(name)},"place":"${place}","answer":${text}}\n`);
    else if (!Bun.deepEquals(answer, JSON.parse(text))) {
      throw new Error(
        `the record of the reference is stale (npm run record): "${name}", ${place}, is ${text}, not ${JSON.stringify(answer)}`,
      );
    }
    answer = JSON.parse(text);
  }
  if (answer === undefined) throw new Error(`there is no record of "${name}", ${place}: npm run record, with cc`);
  return JSON.parse(JSON.stringify(answer).replaceAll(RECORDED, PRINTED)) as T;
}
