/**
 * The answers of the C reference. With a compiler the reference itself is asked, and the record must agree with it;
 * without one the record answers. `npm run record` writes it anew.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { compileReference } from "../../scripts/reference/compile.ts";

/** The file of the record: the answers of each case by place. */
export const RECORD = join(import.meta.dir, "..", "contract", "reference.json");

/** The file in which answers are collected for a new record, or undefined: see contract/record.ts. */
const COLLECTED = process.env["PAUSE_RECORD"];

const record: Readonly<Record<string, Readonly<Record<string, unknown>>>> = JSON.parse(readFileSync(RECORD, "utf8"));

/** The printed text and the recorded one: the version changes, the record should not. */
const [PRINTED, RECORDED] = [`pause.ts ${version}`, "pause.ts VERSION"];

/** The places of a program: each case has an answer for one of them or for both. */
export type Place = "PID 1" | "another PID";

/** Refuses to leave a case out of a new record: throws while one is being made if `missing` gives a reason to skip it. */
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
