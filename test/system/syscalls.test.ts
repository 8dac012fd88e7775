/** docs/seccomp.json lists the system calls that pause makes, and no others: `npm run syscalls` traces them anew. */
import { expect } from "bun:test";
import { runScript } from "../support/project.ts";
import { NEEDS_TRACING, testIf } from "../support/skip.ts";

const emulators = ["qemu-x86_64-static", "qemu-aarch64-static"].filter((name) => !Bun.which(name));
const missing = NEEDS_TRACING ?? (emulators.length > 0 && `not installed: ${emulators.join(", ")}`);

testIf(missing, "the recorded system calls are those of a trace, on both platforms", async () => {
  const { status, stderr } = await runScript("syscalls.ts");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});
