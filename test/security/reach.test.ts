/**
 * src/ reaches nothing that the build takes out of the executable: no module of Bun's, and of ICU only what is compiled into
 * its code, upper and lower case.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "../../scripts/executable/compile.ts";
import { Elf } from "../../scripts/executable/elf.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { OURS } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

const folder = temporary("reach");

/** Compiles `source`, sealed and cut as pause is, and returns what it prints and its exit status. */
async function outcome(source: string): Promise<string> {
  const main = join(folder, "main.ts");
  const program = join(folder, "program");
  writeFileSync(main, source);
  await compile(hostPlatform(), program, main);
  const { stdout, stderr, exitCode } = Bun.spawnSync([program], { env: {} });
  return `${stdout}${stderr}${exitCode}`;
}

test("what is compiled imports no module, and names nothing that needs ICU's data", async () => {
  const bytes = Buffer.from(await Bun.file(OURS).bytes());
  const start = bytes.indexOf(
    "{",
    bytes.indexOf("// @bun @bytecode @bun-cjs\n(function", new Elf(bytes).section(".bun").offset),
  );
  const source = bytes.toString("latin1", start, bytes.indexOf(0, start));
  expect(source).toContain("Shutting down, got signal: ");
  expect(source).not.toMatch(
    /\b(require|import|Intl|Date|Temporal|URL|TextDecoder|RegExp|normalize|localeCompare|toLocale\w+)\b/,
  );
});

/** Upper and lower case of every character, as a digest. */
const CASES = `
let text = "";
for (let code = 0; code < 0x110000; code++) text += String.fromCodePoint(code);
console.log(Bun.hash(text.toLowerCase()), Bun.hash(text.toUpperCase()));
`;

test("upper and lower case are as with all data", async () => {
  const main = join(folder, "cases.ts");
  writeFileSync(main, CASES);
  const { stdout } = Bun.spawnSync([process.execPath, main]);
  expect(await outcome(CASES)).toBe(`${stdout}0`);
});

test("a module of Bun's is there, and empty", async () => {
  expect(await outcome('import * as util from "node:util"; console.log(typeof util.inspect);')).toBe("undefined\n0");
});
