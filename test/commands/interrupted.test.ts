/** Folders left by a process that a signal ended are removed by the next one. */
import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { until } from "../../scripts/linux/proc.ts";
import { temporary } from "../support/temporary.ts";

/** Makes a folder for temporary files, as every command does, and waits. */
const WAITING = `import { makeFolder } from ${JSON.stringify(join(ROOT, "scripts", "linux", "folder.ts"))};
  makeFolder(process.env.TMPDIR);
  await Bun.sleep(1e8);`;

/** Starts that with `tmp` as its folder for temporary files. */
function start(tmp: string) {
  return Bun.spawn([process.execPath, "--eval", WAITING], { env: { ...process.env, TMPDIR: tmp }, stdin: "ignore" });
}

/** Waits until there are `count` temporary folders in `parent`, none of them called `but`, and returns their names. */
function unfinished(parent: string, count: number, but = ""): Promise<string[]> {
  return until(`${count} temporary folders`, async () => {
    const names = await readdir(parent);
    return names.length === count && !names.includes(but) && names;
  });
}

test("the next process removes what one left that a signal ended, but not what another one still uses", async () => {
  const tmp = temporary("ended");
  const ended = start(tmp);
  const [left = ""] = await unfinished(tmp, 1);
  ended.kill("SIGTERM");
  await ended.exited;
  expect(await readdir(tmp)).toEqual([left]);

  const first = start(tmp);
  const [used = ""] = await unfinished(tmp, 1, left);
  const second = start(tmp);
  expect(await unfinished(tmp, 2)).toContain(used);
  for (const child of [first, second]) child.kill("SIGKILL");
});
