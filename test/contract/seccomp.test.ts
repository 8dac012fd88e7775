/** With only the system calls that docs/seccomp.json allows everything works, whatever error the others fail with. */
import { describe, expect } from "bun:test";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { NEEDS_LIBSECCOMP, numberOf } from "../support/calls.ts";
import { NOT_FIRST, TERMINATED } from "../support/output.ts";
import { profile } from "../support/profile.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { OURS, start, startReady } from "../support/subject.ts";

/** Further calls of the loader of glibc 2.42 and later, which the image does not have. */
const NEWER = ["fstat", "lseek"];

const allowed = [...profile.syscalls.flatMap(({ names }) => names), ...NEWER].map(numberOf);

for (const [error, refusal] of Object.entries({ EPERM: 1, ENOSYS: 38 })) {
  const spec = { program: OURS, allowed, refusal };
  describe(`all calls but those of the profile fail with ${error}`, () => {
    for (const pidOne of [true, false]) {
      testUnless(
        NEEDS_LIBSECCOMP ?? (pidOne && NEEDS_PID_ONE),
        `it waits and ends, ${pidOne ? "PID 1" : "another PID"}`,
        async () => {
          const subject = await startReady(spec, { pidOne });
          subject.send(SIGTERM);
          const stderr = pidOne ? TERMINATED : `${NOT_FIRST}${TERMINATED}`;
          expect(await subject.ended()).toEqual({ exit: 0, signal: null, stdout: "", stderr });
        },
      );
    }
    for (const option of ["-v", "--help"]) {
      testUnless(NEEDS_LIBSECCOMP, `${option} is answered`, async () => {
        const { stdout, ...end } = await (await start({ ...spec, args: [option] })).ended();
        expect(end).toEqual({ exit: 0, signal: null, stderr: "" });
        expect(stdout).toContain(option === "-v" ? "pause.ts" : "USAGE");
      });
    }
  });
}
