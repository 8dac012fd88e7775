/**
 * src/ reaches nothing that the build takes out of the executable: no module of Bun's, and of ICU only what is compiled into
 * its code, upper and lower case.
 */
import { expect, test } from "bun:test";
import { Elf } from "../../scripts/executable/elf.ts";
import { OURS } from "../support/subject.ts";

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
