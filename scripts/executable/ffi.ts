/**
 * Keeps the JavaScript of `bun:ffi` out of the start.
 *
 * The module is a thin layer over `Bun.FFI`, which Bun compiles at every start. Plugins are not called for Bun's own modules,
 * but they are for src/ffi.ts, the only file that imports it: one that uses the object directly replaces it. The one loss is
 * that a failing dlopen does not throw: its symbols are missing instead, which ends the start too.
 */
import type { BunPlugin } from "bun";
import { InputError } from "../command/report.ts";

/** The exports of src/ffi.ts: functions, except `read`, which is an object of functions. */
export const USED = { dlopen: "function", read: "object" } as const;

/**
 * The source that replaces src/ffi.ts.
 *
 * @param bun the object `Bun` of the Bun that is put into the executable
 *
 * Throws an InputError if it does not have what `bun:ffi` is made from.
 */
export function withoutModule(bun: { readonly FFI?: unknown } = Bun as { readonly FFI?: unknown }): string {
  const native: unknown = bun.FFI;
  for (const [name, type] of Object.entries(USED)) {
    const has = typeof native === "object" && native !== null ? Object(native)[name] : undefined;
    if (typeof has !== type || has === null) {
      throw new InputError(`cannot build with this version of Bun: Bun.FFI.${name} is not what bun:ffi is made from`);
    }
  }
  return `export const { ${Object.keys(USED).join(", ")} } = Bun.FFI;`;
}

/** Replaces src/ffi.ts. Throws an InputError, before anything is built, if this Bun has no fitting `Bun.FFI`. */
export function ffiPlugin(): BunPlugin {
  const contents = withoutModule();
  return {
    name: "bun:ffi without its module",
    setup(build) {
      build.onLoad({ filter: /\/src\/ffi\.ts$/ }, () => ({ contents, loader: "ts" }));
    },
  };
}
