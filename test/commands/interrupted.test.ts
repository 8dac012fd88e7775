/** Commands that a signal ends leave nothing; what one leaves that is killed, the next one removes. */
import { describe, expect, test } from "bun:test";
import { cp, mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { childrenOf, descendantsOf, hasEnded, until } from "../../scripts/linux/proc.ts";
import { copyProject } from "../support/project.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";
import { temporary } from "../support/temporary.ts";

/** A copy of the project in which every build waits forever: one of its sources is a pipe without a writer. */
async function project(): Promise<{ root: string; dist: string; tmp: string }> {
  const root = temporary("interrupted");
  const [dist, tmp] = [join(root, "dist"), join(root, "tmp")];
  await copyProject(root, { downloads: true });
  for (const path of [dist, tmp]) await mkdir(path);
  await cp(join(ROOT, "dist", "pause"), join(dist, "pause"));
  const source = join(root, "src", "main.ts");
  await rename(source, `${source}.kept`);
  expect(Bun.spawnSync(["mkfifo", source]).exitCode).toBe(0);
  return { root, dist, tmp };
}

/** Starts Bun with `args` in the project in `root`. */
function run(root: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return Bun.spawn([process.execPath, ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: join(root, "tmp"), ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
}

/** Waits until there are `count` temporary folders in `parent`, and returns their names. */
function unfinished(parent: string, count = 1): Promise<string[]> {
  return until(`${count} temporary folders`, async () => {
    const names = (await readdir(parent)).filter((name) => name.startsWith(".pause-ts-"));
    return names.length === count && names;
  });
}

/** Sends `signal` to `child` and expects it to end by that, without a word. */
async function endBy(child: ReturnType<typeof run>, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  await child.exited;
  expect({ signal: child.signalCode, stderr: await child.stderr.text() }).toEqual({ signal, stderr: "" });
}

describe("a command that a signal ends", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("removes its unfinished executable: %s", async (signal) => {
    const { root, dist, tmp } = await project();
    const before = await readdir(root);
    const child = run(root, ["scripts/build.ts"]);
    await unfinished(dist);
    await endBy(child, signal);
    expect([await readdir(root), await readdir(dist), await readdir(tmp)]).toEqual([before, ["pause"], []]);
  });

  test("ends the pause that it shows", async () => {
    const { root, dist } = await project();
    // This pause is never ready, so the command waits for it.
    await writeFile(join(dist, "pause"), "#!/bin/sh\nexec sleep 1000\n");
    const child = run(root, ["scripts/start.ts"], { PATH: "/usr/bin:/bin" });
    const [pause] = await until("the pause", () => {
      const started = childrenOf(child.pid);
      return started.length > 0 && started;
    });
    await endBy(child, "SIGTERM");
    await until("its end", () => hasEnded(pause?.pid ?? 0));
  });

  testUnless(NEEDS_PID_ONE, "soak: leaves no folder, no process and no cgroup", async () => {
    const { root, tmp } = await project();
    const child = run(root, ["scripts/soak.ts", "--minutes", "10"]);
    await unfinished(tmp);
    const started = await until("PID 1", () => {
      const all = descendantsOf(child.pid);
      return all.length > 1 && all;
    });
    await endBy(child, "SIGINT");
    expect(await readdir(tmp)).toEqual([]);
    expect(Bun.spawnSync(["find", "/sys/fs/cgroup", "-name", `pause-ts-${child.pid}`]).stdout.toString()).toBe("");
    await until("its processes to end", () => started.every(({ pid }) => hasEnded(pid)));
  });

  test("the tests: remove what they put into the folder for temporary files", async () => {
    const { root, tmp } = await project();
    const support = join(root, "test", "support");
    await mkdir(support, { recursive: true });
    await cp(join(ROOT, "test", "support", "temporary.ts"), join(support, "temporary.ts"));
    const waiting = `import { test } from "bun:test";
      import { temporary } from "./support/temporary.ts";
      test("waits", () => { temporary("made"); return Bun.sleep(1e8); }, 1e8);`;
    await writeFile(join(root, "test", "waiting.test.ts"), waiting);
    const child = run(root, ["test"]);
    const [one = ""] = await unfinished(tmp);
    await until("the test", async () => (await readdir(join(tmp, one))).length > 0);
    child.kill("SIGTERM");
    await child.exited;
    expect([child.signalCode, await readdir(tmp)]).toEqual(["SIGTERM", []]);
  });
});

test("the next command removes what a killed one left, but not what another one still uses", async () => {
  const { root, dist } = await project();
  const killed = run(root, ["scripts/build.ts"]);
  const [left = ""] = await unfinished(dist);
  killed.kill("SIGKILL");
  await killed.exited;
  expect(await readdir(dist)).toContain(left);

  const first = run(root, ["scripts/build.ts"]);
  const [used = ""] = await until("the folder of the first", async () => {
    const names = await unfinished(dist);
    return !names.includes(left) && names;
  });
  const second = run(root, ["scripts/build.ts"]);
  expect(await unfinished(dist, 2)).toContain(used);
  for (const child of [first, second]) await endBy(child, "SIGTERM");
  expect(await readdir(dist)).toEqual(["pause"]);
});
