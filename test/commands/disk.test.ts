/** A build on a full disk says so in one line, and leaves nothing on it. */
import { expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { copyProject, runScript } from "../support/project.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { NAMESPACE } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

/** Mounts a disk of size `$1` on the folder `$0`, runs the rest, and lists the files on the disk afterwards. */
const ON_SMALL_DISK = 'mount -t tmpfs -o size="$1" tmpfs "$0" && shift && "$@"; status=$?; ls -A "$0"; exit $status';

// Room for nothing, and for half the executable.
for (const size of ["64k", "40m"]) {
  testUnless(NEEDS_PID_ONE, `a build on a disk of ${size}`, async () => {
    const root = temporary("disk");
    await copyProject(root, { downloads: true });
    await mkdir(join(root, "dist"));
    const wrapper = [...(NAMESPACE?.command ?? []), "sh", "-c", ON_SMALL_DISK, join(root, "dist"), size];
    const { status, stdout, stderr } = await runScript("build.ts", [], {}, root, wrapper);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^error: no space left in \S+: it needs \d+ MB, and \d+ MB are free\n$/);
  });
}

test("sources that do not compile are one line, with the place", async () => {
  const root = temporary("sources");
  await copyProject(root, { downloads: true });
  await Bun.write(join(root, "src", "main.ts"), "const one = ;\n");
  const { status, stdout, stderr } = await runScript("build.ts", [], {}, root);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(/^error: cannot compile src\/: src\/main.ts:1:13: Unexpected ;\n$/);
});
