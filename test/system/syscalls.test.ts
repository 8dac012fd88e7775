/** docs/seccomp.json lists the system calls that pause makes, and no others: `npm run syscalls` traces them anew. */
import { expect } from "bun:test";
import { runScript } from "../support/project.ts";
import { NEEDS_TRACING, notInstalled, testUnless } from "../support/skip.ts";

const missing = NEEDS_TRACING ?? notInstalled("qemu-x86_64-static", "qemu-aarch64-static");

testUnless(missing, "the recorded system calls are those of a trace, on both platforms", async () => {
  const { status, stderr } = await runScript("syscalls.ts");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});
