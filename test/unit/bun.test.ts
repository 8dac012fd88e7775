/** Properties of the pinned Bun that src/ and the build rely on. */
import { expect, test } from "bun:test";
import { realpathSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json";
import { sha256Of } from "../../scripts/command/kept.ts";
import { ROOT } from "../../scripts/command/project.ts";
import { RELEASES } from "../../scripts/executable/bun.ts";
import { Elf } from "../../scripts/executable/elf.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { THREAD_STORAGE } from "../../src/footprint.ts";
import { OURS } from "../support/subject.ts";

test("Bun's thread-local storage and a thread's control block fit into THREAD_STORAGE", async () => {
  const { threadStorage } = new Elf(await Bun.file(OURS).bytes());
  expect(threadStorage).toBeGreaterThan(0);
  // A control block (struct pthread) takes 2,304 bytes, libc's own storage less than 256; a page for alignment.
  expect(threadStorage + 2304 + 256 + 4096).toBeLessThanOrEqual(THREAD_STORAGE);
});

test("the Bun that npm has installed is the one whose digest the build pins", async () => {
  const installed = realpathSync(join(ROOT, "node_modules", ".bin", "bun"));
  expect(await sha256Of(installed)).toBe(RELEASES[pkg.devDependencies.bun]?.[hostPlatform().architecture] ?? "");
});
