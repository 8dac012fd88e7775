/** With a libc that is too old, Debian 11's glibc 2.31, the loader says in one line what is missing. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Apt } from "../../scripts/debian/apt.ts";
import { OURS } from "../support/subject.ts";
import { describeEngine, PATIENCE } from "./requirements.ts";

describeEngine("glibc 2.31", ["chroot"], () => {
  let folder: string;
  let root: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-glibc-"));
    root = join(folder, "root");
    const apt = await Apt.open(join(folder, "apt"), { suite: "bullseye" });
    await apt.unpack(["libc6"], root);
    await copyFile(OURS, join(root, "pause"));
  }, PATIENCE);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each([[[]], [["-v"]]])("started with %j", (args: readonly string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(["chroot", root, "/pause", ...args]);
    expect(`${stdout}`).toBe("");
    expect(`${stderr}`).toMatch(/^\/pause: \S+libc\.so\.6: version `GLIBC_2\.34' not found \(required by \/pause\)\n$/);
    expect(exitCode).toBe(1);
  });
});
