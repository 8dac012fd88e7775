/**
 * `bun:ffi` without the module around it: the object from which that module takes all it exports.
 *
 * Loading the module, whose JavaScript the runtime compiles at every start, would take longer than all of ours. The
 * module's `dlopen` adds that a failure is thrown; here one shows as symbols that are missing, which ends the start too.
 */
const { FFI } = Bun as unknown as { readonly FFI: typeof import("bun:ffi") };

/** Opens a library and binds its functions, the address of a typed array, memory by address, memory as a typed array: `bun:ffi`. */
export const { dlopen, ptr, read, toArrayBuffer } = FFI;
