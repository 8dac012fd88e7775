/** What a signal ends leaves nothing; what a killed process leaves, the next one removes. */
import { expect, test } from "bun:test";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { descendantsOf, hasEnded, status, until } from "../../scripts/linux/proc.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { temporary } from "../support/temporary.ts";

const TEMPORARY = join(ROOT, "test", "support", "temporary.ts");

/** Makes a folder for temporary files, as every command does, and waits. */
const WAITING = `import { makeFolder } from ${JSON.stringify(join(ROOT, "scripts", "linux", "folder.ts"))};
  makeFolder(process.env.TMPDIR);
  await Bun.sleep(1e8);`;

/** Starts Bun with `args` and `tmp` as its folder for temporary files. */
function run(tmp: string, args: readonly string[], cwd = ROOT) {
  const env = { ...process.env, TMPDIR: tmp };
  return Bun.spawn([process.execPath, ...args], { cwd, env, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
}

/** Waits until there are `count` temporary folders in `parent`, none of them called `but`, and returns their names. */
function unfinished(parent: string, count = 1, but = ""): Promise<string[]> {
  return until(`${count} temporary folders`, async () => {
    const names = await readdir(parent);
    return names.length === count && !names.includes(but) && names;
  });
}

/** Sends `signal` to `child`, and expects it to end by that without a word, and all that it has started with it. */
async function endBy(child: ReturnType<typeof run>, signal: NodeJS.Signals): Promise<void> {
  const started = descendantsOf(child.pid);
  child.kill(signal);
  await child.exited;
  expect({ signal: child.signalCode, stderr: await child.stderr.text() }).toEqual({ signal, stderr: "" });
  await until("its processes to end", () => started.every(({ pid }) => hasEnded(pid)));
}

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s: no folder and no process is left", async (signal) => {
  const tmp = temporary("interrupted");
  const child = run(tmp, ["--eval", `Bun.spawn(["sleep", "1000"]); ${WAITING}`]);
  await unfinished(tmp);
  await until("its child", () => descendantsOf(child.pid).length > 0);
  await endBy(child, signal);
  expect(await readdir(tmp)).toEqual([]);
});

testUnless(NEEDS_PID_ONE, "soak leaves no folder, no process and no cgroup", async () => {
  const tmp = temporary("soak");
  const child = run(tmp, ["scripts/soak.ts", "--minutes", "10"]);
  await until("PID 1", () => descendantsOf(child.pid).some(({ pid }) => status(pid)?.["Name"] === "pause"));
  await endBy(child, "SIGINT");
  expect(await readdir(tmp)).toEqual([]);
  expect(Bun.spawnSync(["find", "/sys/fs/cgroup", "-name", `pause-ts-${child.pid}`]).stdout.toString()).toBe("");
});

test("the tests remove what they put into the folder for temporary files", async () => {
  const [folder, tmp] = [temporary("test"), temporary("tests")];
  const waiting = `import { test } from "bun:test";
    import { temporary } from ${JSON.stringify(TEMPORARY)};
    test("waits", () => { temporary("made"); return Bun.sleep(1e8); }, 1e8);`;
  await writeFile(join(folder, "waiting.test.ts"), waiting);
  const child = run(tmp, ["test", "--preload", TEMPORARY], folder);
  const [one = ""] = await unfinished(tmp);
  await until("the test", async () => (await readdir(join(tmp, one))).length > 0);
  child.kill("SIGTERM");
  await child.exited;
  expect([child.signalCode, await readdir(tmp)]).toEqual(["SIGTERM", []]);
});

test("the next process removes what a killed one left, but not what another one still uses", async () => {
  const tmp = temporary("killed");
  const killed = run(tmp, ["--eval", WAITING]);
  const [left = ""] = await unfinished(tmp);
  killed.kill("SIGKILL");
  await killed.exited;
  expect(await readdir(tmp)).toEqual([left]);

  const first = run(tmp, ["--eval", WAITING]);
  const [used = ""] = await unfinished(tmp, 1, left);
  const second = run(tmp, ["--eval", WAITING]);
  expect(await unfinished(tmp, 2)).toContain(used);
  for (const child of [first, second]) await endBy(child, "SIGTERM");
  expect(await readdir(tmp)).toEqual([]);
});
