/**
 * The answers of the C reference. With a compiler the reference itself is asked, and the record must agree with it;
 * without one the record answers. `npm run record` writes it anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { compileReference } from "../../scripts/reference/compile.ts";

/** The file to write a new record to, or undefined. `npm run record` puts it in place if all tests have passed. */
const NEW = process.env["PAUSE_RECORD"];

/** The answers of each case by place; while a new record is made, those that it has so far. */
const record: Record<string, Readonly<Record<string, unknown>>> = NEW
  ? {}
  : JSON.parse(readFileSync(join(import.meta.dir, "..", "contract", "reference.json"), "utf8"));

/** The printed text and the recorded one: the version changes, the record should not. */
const [PRINTED, RECORDED] = [`pause.ts ${version}`, "pause.ts VERSION"];

/** The places of a program: each case has an answer for one of them or for both. */
export type Place = "PID 1" | "another PID";

/** Refuses to leave a case out of a new record: throws while one is being made if `missing` gives a reason to skip it. */
export function mustRecord(title: string, missing: string | undefined | false): void {
  if (NEW && missing) throw new Error(`cannot record "${title}": ${missing}`);
}

/** Writes a new record, a line for each case, with one answer more. Throws if two cases share a name. */
function add(path: string, name: string, place: Place, answer: unknown): void {
  if (record[name]?.[place]) throw new Error(`two cases are called "${name}", ${place}`);
  record[name] = { ...record[name], [place]: answer };
  const cases = Object.keys(record).sort();
  const lines = cases.map((title) => `  ${JSON.stringify(title)}: ${JSON.stringify(record[title])}`);
  writeFileSync(path, `{\n${lines.join(",\n")}\n}\n`);
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
    const seen = JSON.parse(text);
    if (NEW) add(NEW, name, place, seen);
    else if (!Bun.deepEquals(answer, seen)) {
      throw new Error(
        `the record of the reference is stale (npm run record): "${name}", ${place}, is ${text}, not ${JSON.stringify(answer)}`,
      );
    }
    answer = seen;
  }
  if (answer === undefined) throw new Error(`there is no record of "${name}", ${place}: npm run record, with cc`);
  return JSON.parse(JSON.stringify(answer).replaceAll(RECORDED, PRINTED)) as T;
}
