/** What src/ takes for granted about the pinned runtime. */
import { expect, test } from "bun:test";
import { THREAD_STORAGE } from "../src/footprint.ts";
import { OURS } from "./subject.ts";

test("the runtime's thread-local storage and a thread's control block fit into THREAD_STORAGE", async () => {
  // ELF64: program headers at e_phoff (32), e_phnum (56) of 56 bytes each; p_type at 0, p_memsz at 40 (elf.h).
  const PT_TLS = 7;
  const headers = new DataView(await Bun.file(OURS).slice(0, 4096).arrayBuffer());
  const first = Number(headers.getBigUint64(32, true));
  const sizes = Array.from({ length: headers.getUint16(56, true) }, (_, index) => first + index * 56)
    .filter((at) => headers.getUint32(at, true) === PT_TLS)
    .map((at) => Number(headers.getBigUint64(at + 40, true)));
  expect(sizes).toHaveLength(1);
  // A control block (struct pthread) takes 2,304 bytes, libc's own storage less than 256; a page for alignment.
  expect((sizes[0] ?? Number.NaN) + 2304 + 256 + 4096).toBeLessThanOrEqual(THREAD_STORAGE);
});
