/**
 * `bun:ffi`, as far as it is used here. The build hands over another file in place of this one, which does not load the
 * module's JavaScript: scripts/executable/ffi.ts.
 */
export { dlopen, read } from "bun:ffi";
