/** The memory that goes back to the kernel once JavaScript is over: all that is known to be Bun's. */
import type { Arena } from "./arena.ts";
import { read } from "./ffi.ts";
import { type Address, addressOf, libc, MADV_DONTNEED, pageSize, type Range } from "./libc.ts";
import { mappings } from "./mappings.ts";
import type { Call } from "./native.ts";

/**
 * Bytes on either side of the thread pointer that stay mapped: the thread's control block and thread-local storage, libc's
 * and Bun's. On x86-64 storage lies below the pointer, on arm64 above. test/unit/bun.test.ts checks the size.
 */
export const THREAD_STORAGE = 32 * 1024;

/**
 * Bytes of thread-local storage that are Bun's alone: the executable's comes first, right at the thread pointer (x86-64:
 * below it; arm64: above it and the 16 bytes that it points to). From the System V ABI's supplements for ELF and
 * thread-local storage. test/support/cut.ts checks, on both platforms, that Bun's is as large.
 */
export const BUN_STORAGE = 20 * 1024;

/** Maximum number of unmapped ranges: each needs room in the workspace. There are 5 to 9; further ones stay. */
const RANGES = 16;

// elf.h: the kind of program header that is about memory, and where `Elf64_Ehdr` says what there is.
const PT_LOAD = 1;
const E_PHOFF = 32;
const E_PHNUM = 56;
/** The beginning of the name of the kernel's own library, which is in no file: "linu", vdso(7). */
const VDSO = 0x756e696c;
/** Bytes of an `Elf64_Phdr`: `p_type` is at 0, `p_vaddr` at 16, `p_memsz` at 40. */
const PHDR = 56;

// getauxval(3), elf.h: the executable's program headers, and how many there are.
const AT_PHDR = 3;
const AT_PHNUM = 5;

/**
 * Returns the files that the loader has loaded, the executable first, each from the first byte that its program headers map to the last.
 * `_r_debug` is the loader's `struct r_debug`, with the first `struct link_map` at 8; each has `l_addr`, what its addresses
 * are relative to, at 0, its name at 8 and the next one at 24 (link.h). The executable's addresses are absolute, and it has no
 * header at 0. The vDSO is left out: it is the kernel's, and gVisor's addresses are relative to where nothing is.
 */
function loadedFiles(): Range[] {
  const found: Range[] = [];
  for (let map: Address = read.ptr(addressOf("_r_debug") + 8); map !== 0; map = read.ptr(map + 24)) {
    if (read.u32(read.ptr(map + 8)) === VDSO) continue;
    const base = read.ptr(map);
    const headers = base === 0 ? Number(libc.getauxval(AT_PHDR)) : base + read.ptr(base + E_PHOFF);
    const count = base === 0 ? Number(libc.getauxval(AT_PHNUM)) : read.u16(base + E_PHNUM);
    let start = Number.POSITIVE_INFINITY;
    let end = 0;
    for (let index = 0; index < count; index++) {
      const header = headers + index * PHDR;
      if (read.u32(header) !== PT_LOAD) continue;
      const from = base + read.ptr(header + 16);
      const to = from + read.ptr(header + 40);
      if (from < start) start = from;
      if (to > end) end = to;
    }
    found.push({ start, end });
  }
  return found;
}

/** Returns the one of `files` that `address` lies in. */
function homeOf(address: Address, files: readonly Range[]): Range {
  let home: Range = { start: 0, end: 0 };
  for (const it of files) if (it.start <= address && address < it.end) home = it;
  return home;
}

/** Adds to `found` what of `range` lies in none of `kept`. */
function addWithout(range: Range, kept: readonly Range[], found: Range[]): void {
  for (let from = range.start; from < range.end; ) {
    let next: Range = { start: range.end, end: range.end };
    for (const it of kept) if (it.end > from && it.start < next.start) next = it;
    const last = found[found.length - 1];
    if (next.start > from) {
      if (last !== undefined && last.end === from) found[found.length - 1] = { start: last.start, end: next.start };
      else found.push({ start: from, end: next.start });
    }
    from = next.end;
  }
}

/**
 * The calls that give back what is known to be Bun's. All else stays, whoever put it there: what the loader, libc (its heap)
 * and the kernel have mapped, and whatever a sandbox has. None if a file is mapped that is none of the four known: its code
 * may call functions whose names the loader then looks for in the executable and in libm, and may have memory of its own.
 *
 * - The executable: its program headers say where it lies, and the kernel where those are (getauxval(3)).
 * - libm: the loader says where it begins, and its own program headers where it ends. Only the executable asks for it.
 * - Heaps and compiled code: private mappings of no file and no name, which Bun makes with mmap(2) while it starts. The
 *   loader's own, made before, lie between what it loads and the thread's storage, its last; libc's heap has a name. If
 *   malloc(3) allocates elsewhere, libc has mappings of its own (GLIBC_TUNABLES=glibc.malloc.hugetlb=2): then they all stay.
 * - The stack below the frames that the loader was called with, and the executable's share of the thread's storage:
 *   their pages read as zeros then.
 *
 * @param arena stays
 * @param workspace is given back last, and not by these calls
 */
export function giveBack(arena: Arena, workspace: Arena): Call[] {
  const page = pageSize();
  // By the lowest bits: a remainder of numbers this large is a call of fmod(3).
  const pageOf = (address: Address) => address - (address & (page - 1));
  const pageAfter = (address: Address) => pageOf(address + page - 1);
  const all = loadedFiles();
  const executable = all[0] as Range;
  const libm = homeOf(addressOf("fmod"), all);
  const staying = [homeOf(addressOf("exit"), all), homeOf(addressOf("__libc_stack_end"), all), libm];
  const pointer = Number(libc.pthread_self());
  const first = read.ptr(addressOf("__libc_stack_end"));
  const allocated = Number(libc.malloc(1));
  const { anonymous, files, heap, stack } = mappings(workspace.lower);

  let known = 0;
  for (const file of files) {
    for (const it of [executable, ...staying]) if (file >= it.start && file < it.end) known++;
  }
  if (known === 0 || known < files.length) return [];
  // What the loader has mapped, from the first to the last.
  let start = pageOf(pointer - THREAD_STORAGE);
  let end = pageAfter(pointer + THREAD_STORAGE);
  for (const it of staying) {
    if (it.start < start) start = pageOf(it.start);
    if (it.end > end) end = pageAfter(it.end);
  }
  const ranges: Range[] = [
    { start: pageOf(executable.start), end: pageAfter(executable.end) },
    { start: pageOf(libm.start), end: pageAfter(libm.end) },
  ];
  const kept: Range[] = [arena, workspace, { start, end }, ...ranges];
  const hasHeap = heap.start <= allocated && allocated < heap.end;
  for (const it of hasHeap ? anonymous : []) addWithout(it, kept, ranges);

  const munmap = addressOf("munmap");
  const madvise = addressOf("madvise");
  const calls: Call[] = [];
  for (let index = 0; index < ranges.length && index < RANGES; index++) {
    const it = ranges[index] as Range;
    calls.push([munmap, it.start, it.end - it.start]);
  }
  const bun = process.arch === "arm64" ? pointer + 16 : pointer - BUN_STORAGE;
  const storage = { start: pageAfter(bun), end: pageOf(bun + BUN_STORAGE) };
  const frames = { start: stack === 0 ? first : stack, end: pageOf(first) };
  for (const it of [storage, frames]) {
    // With large pages none may be all Bun's.
    if (it.start < it.end) calls.push([madvise, it.start, it.end - it.start, MADV_DONTNEED]);
  }
  return calls;
}
