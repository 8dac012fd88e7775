/** bun:ffi: the sources run uncompiled, and the build replaces the module only if this Bun allows it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { version } from "../../package.json";
import { ROOT } from "../../scripts/command/project.ts";
import { USED, withoutModule } from "../../scripts/executable/ffi.ts";

test("bun src/main.ts -v prints the version, not compiled and not bundled", () => {
  const { stdout, exitCode } = Bun.spawnSync([process.execPath, join(ROOT, "src", "main.ts"), "-v"]);
  expect({ stdout: stdout.toString(), exitCode }).toEqual({ stdout: `pause.ts ${version}\n`, exitCode: 0 });
});

test("this Bun has what bun:ffi is made from", () => {
  expect(withoutModule()).toContain("Bun.FFI");
});

test.each(Object.keys(USED))("the build fails if Bun.FFI.%s is missing or something else", (name) => {
  const { FFI } = Bun as unknown as { readonly FFI: Record<string, unknown> };
  const message = `Bun.FFI.${name} is not what bun:ffi is made from`;
  expect(() => withoutModule({ FFI: { ...FFI, [name]: undefined } })).toThrow(message);
  expect(() => withoutModule({ FFI: { ...FFI, [name]: 1 } })).toThrow(message);
});

test("the build fails if there is no Bun.FFI", () => {
  expect(() => withoutModule({})).toThrow("cannot build with this version of Bun");
});
