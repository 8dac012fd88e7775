/**
 * Makes the compiled executable blind to its environment, and leaves the signals it inherits as they are.
 *
 * Bun knows several hundred variables, and offers no switch against them. It reads them through libc: by `getenv` and
 * `secure_getenv`, and in `environ`. The dynamic section of the executable names all three, and there they are cut off: a
 * call of getenv reaches a function that returns NULL for every name, and `environ` is a list in the executable. So are the
 * functions by which Bun would change what was inherited of signals. src/ calls libc another way, through bun:ffi.
 *
 * It also does not find its memory cgroup, whose limit JavaScriptCore would take for the size of its memory, or whether memory
 * is overcommitted, which would have it start a thread. And libc keeps its `stdout` and `stderr`: it would use the copies that
 * the linker gave the executable, so a page of that would have to stay for as long as pause runs.
 */

import { InputError } from "../command/report.ts";
import { type DynamicSymbol, Elf, type Relocation } from "./elf.ts";
import type { Platform } from "./platforms.ts";
import type { Room } from "./room.ts";

/** Functions that Bun imports from libc, and those it gets instead, which write nothing but the buffer they are given. */
const INSTEAD: Readonly<Record<string, string>> = {
  // NULL, no variable has that name: atol(3) is 0 for all that does not begin with a number.
  getenv: "atol",
  secure_getenv: "atol",
  // NULL, there is no date: dlerror(3) has nothing to tell as long as nothing has failed. libc would read TZ and the file
  // that it names, for a buffer of HTTP headers that Bun fills unconditionally.
  gmtime_r: "dlerror",
  // 0, it worked: no signal's number below 48 and no way to change a mask is a digit's code, isdigit(3).
  sigaction: "isdigit",
  pthread_sigmask: "isdigit",
  // The signal's number, abs(3), which is not SIG_ERR: Bun looks no further.
  signal: "abs",
  // Nothing is printed: JavaScriptCore would complain that SIGPWR has a handler already. It has asked sigaction, which does
  // not answer any more, and takes for the answer what happens to lie in memory.
  vfprintf: "abs",
  // "/dev/tty", an absolute path, in the caller's buffer, ctermid(3): Bun would end where the working directory is gone or
  // cannot be reached. It opens nothing by a relative path.
  getcwd: "ctermid",
};

/**
 * The environment that Bun sees, whatever the real one is: how many addresses its allocators reserve, and how much stack.
 * They would take 10 GB, of which a start touches 2 MB, and not start where addresses are limited or memory is not
 * overcommitted.
 */
export const VARIABLES: readonly string[] = [
  // Compiled code, twice what `--help` was seen to run with; a quarter, and JavaScriptCore takes its own 1 GiB.
  "BUN_JSC_jitMemoryReservationSize=1048576",
  // Layouts of objects: JavaScriptCore aborts with 48 MiB, whatever runs.
  "BUN_JSC_structureHeapSizeInKB=65536",
  // All other memory: mimalloc takes no less at a time, and more when that is full.
  "MIMALLOC_ARENA_RESERVE=64MiB",
  // Stack that JavaScriptCore keeps free, a quarter of its own choice: so a stack of 64 KiB is enough instead of 144, and a
  // smaller one ends without a line of Bun's. Nothing here calls deeper than `--help`, which runs with 80 KiB.
  "BUN_JSC_softReservedZoneSize=32768",
  "BUN_JSC_reservedZoneSize=16384",
];

/** Variables of libc's that the executable has a copy of. */
const STREAMS = ["stdout", "stderr"] as const;

/** The names of libc's list of variables, which the executable has its own copy of. */
const LIST = ["environ", "_environ", "__environ"] as const;

/**
 * Every other symbol that has to do with an environment. The first changes libc's list, which Bun no longer
 * sees; the others are functions of Bun itself that native add-ons would call.
 */
const HARMLESS = /^setenv$|^uv_os_|^napi_|^_ZN4node\d+(Add|Remove)EnvironmentCleanupHook/;

/** Files that Bun does not find: without a name open(2) says ENOENT, as where the kernel has no such file. */
const UNSEEN = {
  // Says which cgroup a process is in: cgroups(7).
  "/proc/self/cgroup": "the name of the cgroup file",
  // Says how memory is promised, proc(5): where it is not overcommitted, mimalloc would start a thread.
  "/proc/sys/vm/overcommit_memory": "the name of the overcommit file",
} as const;

/** `R_*_COPY`, `R_*_GLOB_DAT` and `R_*_RELATIVE`: elf.h. */
const RELOCATIONS: Readonly<Record<Platform["architecture"], { copy: number; global: number; relative: number }>> = {
  amd64: { copy: 5, global: 6, relative: 8 },
  arm64: { copy: 1024, global: 1025, relative: 1027 },
};

/** The one of `found`, or an InputError that says what is not as it was in the Bun this was written for. */
function only<T>(found: readonly T[], what: string): T {
  const [it] = found;
  if (it !== undefined && found.length === 1) return it;
  throw new InputError(`cannot seal this version of Bun: ${what}: found ${found.length} times instead of once`);
}

/** The two relocations of a variable of libc's that the executable has a copy of, `symbols` being its names there. */
function usesOf(
  image: Elf,
  symbols: readonly DynamicSymbol[],
  platform: Platform,
): Record<"copy" | "pointer", Relocation> {
  const { copy, global } = RELOCATIONS[platform.architecture];
  const name = symbols[0]?.name;
  const uses = image.relocations.filter(({ symbol }) => symbols.some(({ index }) => index === symbol));
  const ofType = (type: number): Relocation[] => uses.filter((use) => use.type === type);
  if (uses.length !== 2) throw new InputError(`cannot seal this version of Bun: ${name} is used ${uses.length} times`);
  return { copy: only(ofType(copy), `the copy of ${name}`), pointer: only(ofType(global), `the pointer to ${name}`) };
}

/**
 * Writes the list of variables into `room`, and makes the loader store its address in the executable's `environ`, which
 * libc no longer sees.
 */
function fixedList(bytes: Buffer, image: Elf, platform: Platform, room: Room): void {
  // The addresses of the texts, 8 bytes each, and 0; then the texts.
  const texts = Buffer.from(VARIABLES.map((text) => `${text}\0`).join(""), "latin1");
  const pointers = (VARIABLES.length + 1) * 8;
  const place = room.take(pointers + texts.length);
  const list = room.addressOf(place);
  let text = list + pointers;
  for (const [index, variable] of VARIABLES.entries()) {
    bytes.writeBigUInt64LE(BigInt(text), place + index * 8);
    text += variable.length + 1;
  }
  texts.copy(bytes, place + pointers);

  const { relative } = RELOCATIONS[platform.architecture];
  const names = LIST.map((name) => only(named(image, name, true), `the variable ${name}`));
  const environ = only([...new Set(names.map(({ address }) => address))], "the address of environ");
  const { copy, pointer } = usesOf(image, names, platform);
  image.relocate(copy, relative, list);
  image.relocate(pointer, relative, environ);
  // No symbol has such a name: libc, which looks for one of these, finds its own variable.
  for (const symbol of names) image.rename(symbol, `=${symbol.name.slice(1)}`);
}

/**
 * Parts of libc that were separate libraries before 2.34 and have been empty since: loading them takes 0.1 ms. What came from
 * libdl must be of that version now, so that the loader of an older libc says in one line which version it needs.
 */
const EMPTY = [["libpthread.so.0"], ["libdl.so.2", "GLIBC_2.34"]] as const;

/**
 * Leaves the variable `name` to libc. The loader still fills in the executable's copy, whose address is in Bun's code,
 * but libc no longer finds it.
 */
function libcOwn(image: Elf, name: string, platform: Platform): void {
  const symbol = only(named(image, name, true), `the variable ${name}`);
  if (usesOf(image, [symbol], platform).copy.address !== symbol.address) {
    throw new InputError(`cannot seal this version of Bun: ${name} is not where it is copied to`);
  }
  image.undefine(symbol);
}

/** Blanks a text that occurs exactly once. `what` names it in the error. */
function erase(bytes: Buffer, text: Buffer, what: string): void {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at);
  const place = only(places, what);
  bytes.fill(0, place, place + text.length);
}

/** The symbols called `name` that the executable has itself (`defined`) or takes from a library. */
function named(image: Elf, name: string, defined: boolean): DynamicSymbol[] {
  return image.symbols.filter((symbol) => symbol.name === name && symbol.defined === defined);
}

/**
 * Seals the executable `bytes` in place, with the list of variables in `room`.
 *
 * Throws an InputError if anything is not exactly where and as often as expected: another version of Bun has to be
 * examined first.
 */
export function seal(bytes: Buffer, platform: Platform, room: Room): void {
  const image = new Elf(bytes);
  // The third way would be the kernel's.
  if (bytes.includes("self/environ"))
    throw new InputError("cannot seal this version of Bun: it reads /proc/self/environ");
  const known = new Set<string>([...Object.keys(INSTEAD), ...LIST]);
  const unknown = image.symbols.find(({ name }) => /env/i.test(name) && !known.has(name) && !HARMLESS.test(name));
  if (unknown) throw new InputError(`cannot seal this version of Bun: unknown symbol ${unknown.name}`);

  for (const [path, what] of Object.entries(UNSEEN)) erase(bytes, Buffer.from(`\0${path}\0`), what);
  fixedList(bytes, image, platform, room);
  for (const name of STREAMS) libcOwn(image, name, platform);
  for (const [name, version] of EMPTY) image.merge(name, "libc.so.6", version);
  const getenv = only(named(image, "getenv", false), "the import getenv");
  for (const [name, instead] of Object.entries(INSTEAD)) {
    if (named(image, instead, true).length > 0) throw new InputError(`the executable has a function ${instead} itself`);
    // The version: that of an import of the same name, or that of nearly all, in which libc has had atol from the start.
    const [like = getenv] = named(image, instead, false);
    image.rename(only(named(image, name, false), `the import ${name}`), instead, like);
  }
}
