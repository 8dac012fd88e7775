/** A command that a signal ends leaves nothing behind. What a killed one leaves, the next removes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { childrenOf, status, until } from "../../scripts/linux/proc.ts";
import { copyProject } from "../support/project.ts";
import { NEEDS_PID_ONE, testUnless } from "../support/skip.ts";

/** The names of folders for unfinished work. */
const UNFINISHED = /^\.pause-ts-\d+-\d+-\d+-\w{6}$/;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pause-interrupted-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A copy of the project with `dist/pause` and its own folder for temporary files. */
async function project(): Promise<{ root: string; dist: string; temporary: string }> {
  const root = await mkdtemp(join(folder, "project-"));
  const [dist, temporary] = [join(root, "dist"), join(root, "tmp")];
  await copyProject(root, { downloads: true });
  await mkdir(dist);
  await mkdir(temporary);
  await cp(join(ROOT, "dist", "pause"), join(dist, "pause"));
  return { root, dist, temporary };
}

/** Makes every build in the project in `root` wait forever: one of the sources becomes a pipe that nobody writes to. */
async function holdBuilds(root: string): Promise<void> {
  const source = join(root, "src", "main.ts");
  await rename(source, `${source}.kept`);
  expect(Bun.spawnSync(["mkfifo", source]).exitCode).toBe(0);
}

/** Starts Bun with `args` in the project in `root`. */
function run(root: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return Bun.spawn([process.execPath, ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: join(root, "tmp"), ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** Waits until there are `count` folders for unfinished work in `parent`, and returns their names. */
function unfinished(parent: string, count = 1): Promise<string[]> {
  return until(`${count} folders for unfinished work`, async () => {
    const names = (await readdir(parent)).filter((name) => UNFINISHED.test(name));
    return names.length === count && names;
  });
}

/** The arguments of every process that is there. */
async function commandLines(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  return Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
}

/** Sends `signal` to `child` and expects it to end by that, without a word. */
async function endBy(child: ReturnType<typeof run>, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  await child.exited;
  expect({ signal: child.signalCode, stderr: await child.stderr.text() }).toEqual({ signal, stderr: "" });
}

describe("a command that a signal ends", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    test(`removes its unfinished executable: ${signal}`, async () => {
      const { root, dist, temporary } = await project();
      await holdBuilds(root);
      const before = await readdir(root);
      const child = run(root, ["scripts/build.ts"]);
      await unfinished(dist);
      await endBy(child, signal);
      expect([await readdir(root), await readdir(dist), await readdir(temporary)]).toEqual([before, ["pause"], []]);
    });
  }

  test("removes its unfinished image and what it fetches", async () => {
    const { root, dist } = await project();
    const cache = join(root, "node_modules", ".cache");
    await rm(cache, { force: true });
    using mirror = Bun.serve({ port: 0, idleTimeout: 0, fetch: () => new Promise<Response>(() => {}) });
    const args = ["--debian-mirror", `http://127.0.0.1:${mirror.port}`];
    const child = run(root, ["scripts/image.ts", ...args], { SOURCE_DATE_EPOCH: "1" });
    await unfinished(dist);
    await until("the cache", async () => (await unfinished(join(cache, "pause-ts")).catch(() => [])).length > 0);
    await endBy(child, "SIGTERM");
    expect(await readdir(dist)).toEqual(["pause"]);
    expect(await readdir(join(cache, "pause-ts"))).toEqual([]);
  });

  test("ends the pause that it shows", async () => {
    const { root, dist } = await project();
    // This pause is never ready, so the command waits for it.
    await writeFile(join(dist, "pause"), '#!/bin/sh\necho "$$"\nexec sleep 1000\n');
    const child = run(root, ["scripts/start.ts"], { PATH: "/usr/bin:/bin" });
    const reader = child.stdout.getReader();
    expect((await reader.read()).done).toBe(false);
    await until("the pause", () => childrenOf(child.pid).length > 0);
    const started = childrenOf(child.pid).map(({ pid }) => pid);
    await endBy(child, "SIGTERM");
    // A zombie is whoever's it has become.
    const ended = (pid: number) => [undefined, "Z"].includes(status(pid)?.["State"]?.[0]);
    await until("its end", () => started.every(ended));
  });

  testUnless(NEEDS_PID_ONE, "soak: leaves no folder, no process and no cgroup", async () => {
    const { root, temporary } = await project();
    const child = run(root, ["scripts/soak.ts", "--minutes", "10"]);
    const [disk = ""] = await unfinished(temporary);
    await until("PID 1", () => childrenOf(child.pid).length > 0);
    await endBy(child, "SIGINT");
    expect(await readdir(temporary)).not.toContain(disk);
    expect(Bun.spawnSync(["find", "/sys/fs/cgroup", "-name", `pause-ts-${child.pid}`]).stdout.toString()).toBe("");
    // Whoever was PID 1 had the disk in its arguments.
    expect((await commandLines()).filter((line) => line.includes(disk))).toEqual([]);
  });

  test("bench: removes the copies of the programs", async () => {
    const { root, temporary } = await project();
    const child = run(root, ["scripts/bench.ts"]);
    await unfinished(temporary);
    await endBy(child, "SIGTERM");
    expect(await readdir(temporary)).toEqual([]);
  });

  test("the tests: remove what they put into the folder for temporary files", async () => {
    const { root, temporary } = await project();
    const support = join(root, "test", "support");
    await mkdir(support, { recursive: true });
    await cp(join(ROOT, "test", "support", "temporary.ts"), join(support, "temporary.ts"));
    const waiting = `import { test } from "bun:test";
      import { mkdtempSync } from "node:fs";
      import { tmpdir } from "node:os";
      test("waits", () => { mkdtempSync(tmpdir() + "/made-"); return Bun.sleep(1e8); }, 1e8);`;
    await writeFile(join(root, "test", "waiting.test.ts"), waiting);
    const child = run(root, ["test"]);
    const [one = ""] = await unfinished(temporary);
    await until("the test", async () => (await readdir(join(temporary, one))).length > 0);
    child.kill("SIGTERM");
    await child.exited;
    expect([child.signalCode, await readdir(temporary)]).toEqual(["SIGTERM", []]);
  });
});

test("the next command removes what a killed one left, but not what another one still uses", async () => {
  const { root, dist } = await project();
  await holdBuilds(root);
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
