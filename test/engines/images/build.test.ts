/** Building the image in another folder and on another day. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { copyProject, image } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";

setDefaultTimeout(2 * PATIENCE);

const TIME = { SOURCE_DATE_EPOCH: "1700000000" };

describeEngine("npm run image", ["faketime"], () => {
  test("gives the same bytes in another folder, on another day, in another time zone and with another umask", async () => {
    const folder = temporary("build");
    const [here, there] = [join(folder, "here"), join(folder, "some where", "else")];
    await copyProject(there, { downloads: true });
    const origin = ["--revision", "abc", "--source", "https://git.example/pause-ts"];
    const one = await image(["--output", join(here, "a.oci.tar"), ...origin], TIME);
    const elsewhere = ["faketime", "2031-05-06 07:08:09", "sh", "-c", 'umask 077; exec "$@"', "sh"];
    const env = { ...TIME, TZ: "Asia/Kathmandu", LANG: "C" };
    const other = await image(["--output", join(there, "out", "a.oci.tar"), ...origin], env, there, elsewhere);
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
  });
});
