/** With a libc that is too old, Debian 11's glibc 2.31, the loader says in one line what is missing. */
import { beforeAll, expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { Apt } from "../../scripts/debian/apt.ts";
import { OURS } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";
import { describeEngine, PATIENCE } from "./requirements.ts";

describeEngine("glibc 2.31", ["chroot"], () => {
  const folder = temporary("glibc");
  const root = join(folder, "root");
  beforeAll(async () => {
    const apt = await Apt.open(join(folder, "apt"), { suite: "bullseye" });
    await apt.unpack(["libc6"], root);
    await copyFile(OURS, join(root, "pause"));
  }, PATIENCE);

  test.each([[[]], [["-v"]]])("started with %j", (args: readonly string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(["chroot", root, "/pause", ...args]);
    expect(`${stdout}`).toBe("");
    expect(`${stderr}`).toMatch(/^\/pause: \S+libc\.so\.6: version `GLIBC_2\.34' not found \(required by \/pause\)\n$/);
    expect(exitCode).toBe(1);
  });
});
