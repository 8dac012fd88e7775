/** Building the image under other conditions: another folder and day, a full disk, a read-only folder. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../scripts/command/project.ts";
import { copyProject, image } from "../../support/project.ts";
import { Host } from "../host.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";

const TIME = { SOURCE_DATE_EPOCH: "1700000000" };

describeEngine("npm run image", ["faketime", "mount"], () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-build-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test(
    "gives the same bytes in another folder, on another day, in another time zone and with another umask",
    async () => {
      const [here, there] = [join(folder, "here"), join(folder, "some where", "else")];
      await copyProject(there, { downloads: true });
      const args = (output: string) => [
        "--output",
        join(output, "a.oci.tar"),
        "--revision",
        "abc",
        "--source",
        "https://git.example/pause-ts",
      ];
      const one = await image(args(here), TIME);
      const elsewhere = ["faketime", "2031-05-06 07:08:09", "sh", "-c", 'umask 077; exec "$@"', "sh"];
      const other = await image(
        args(join(there, "out")),
        { ...TIME, TZ: "Asia/Kathmandu", LANG: "C" },
        there,
        elsewhere,
      );
      expect([other.status, other.stderr]).toEqual([0, ""]);
      // The first line names the index's digest.
      expect(other.stdout.split("\n")[0]).toBe(one.stdout.split("\n")[0] ?? "");
      expect(one.stdout).toMatch(/^\S+ sha256:[0-9a-f]{64}\n/);
      const names = await readdir(here);
      expect(await readdir(join(there, "out"))).toEqual(names);
      for (const name of names) {
        const [mine, theirs] = [Bun.file(join(here, name)), Bun.file(join(there, "out", name))];
        expect(Buffer.compare(await mine.bytes(), await theirs.bytes())).toBe(0);
      }
    },
    2 * PATIENCE,
  );

  /** Builds into a folder that is a file system of `size`, and returns what was printed and what is in the folder afterwards. */
  async function mounted(size: string, readOnly: boolean): Promise<{ said: string; status: number; left: string }> {
    await using host = await Host.start();
    const dist = join(host.folder, "dist");
    await mkdir(dist);
    await host.output(["mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", dist]);
    await host.output(["sh", "-c", `echo old >${dist}/pause-ts.oci.tar`]);
    if (readOnly) await host.output(["mount", "-o", "remount,ro", dist]);
    const output = ["--output", join(dist, "pause-ts.oci.tar"), "--platform", "linux/amd64"];
    const { status, stdout, stderr } = await host.run(
      [process.execPath, join(ROOT, "scripts", "image.ts"), ...output],
      TIME,
    );
    expect(stdout).toBe("");
    expect(await host.output(["cat", `${dist}/pause-ts.oci.tar`])).toBe("old");
    return { said: stderr, status, left: await host.output(["ls", "-A", dist]) };
  }

  // Room for nothing, for half the executable, and for the executable without the archive.
  for (const size of ["1m", "40m", "85m"]) {
    test(
      `a disk that is full after ${size}`,
      async () => {
        const { said, status, left } = await mounted(size, false);
        expect(said).toMatch(/^error: .*(no space left|ENOSPC).*\n$/i);
        expect([status, left]).toEqual([1, "pause-ts.oci.tar"]);
      },
      PATIENCE,
    );
  }

  test(
    "a read-only folder",
    async () => {
      const { said, status, left } = await mounted("1m", true);
      expect(said).toMatch(/^error: cannot write to .*dist: .*(read-only|EROFS).*\n$/i);
      expect([status, left]).toEqual([1, "pause-ts.oci.tar"]);
    },
    PATIENCE,
  );
});
