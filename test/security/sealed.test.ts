/**
 * No variable, file or argument changes what pause does: output, exit status and, where strace is installed, the
 * system calls are those of a start without it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../../scripts/executable/compile.ts";
import { cut, freeRoom } from "../../scripts/executable/cut.ts";
import { Elf, PF_R, PF_W, PF_X, PT_LOAD } from "../../scripts/executable/elf.ts";
import { addEntry } from "../../scripts/executable/entry.ts";
import { hostPlatform, PLATFORMS } from "../../scripts/executable/platforms.ts";
import { VARIABLES as FIXED, seal } from "../../scripts/executable/seal.ts";
import { status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { forAll } from "../support/parallel.ts";
import { endOf, OURS, type Outcome, startReady, whileRunning } from "../support/subject.ts";
import { HOSTILE, VARIABLES } from "../support/variables.ts";

/** How a start went. */
interface Run extends Outcome {
  /** System calls, without what differs from start to start; undefined if they were not traced. */
  readonly calls: string | undefined;
}

/** What a start is given. */
interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly args?: readonly string[];
  readonly argv0?: string;
}

type Mode = "-v" | "waiting";

const STRACE = Bun.which("strace");

/** Hostile files; `marker` comes to exist when any of them is executed. */
const folder = mkdtempSync(join(tmpdir(), "pause-sealed-"));
const marker = join(folder, "marker");
const unsealed = join(folder, "unsealed", "pause");

beforeAll(async () => {
  chmodSync(folder, 0o755);
  const evil = `require("fs").writeFileSync(${JSON.stringify(marker)}, ""); console.log("evil");`;
  const files: Record<string, string> = {
    "evil.js": evil,
    "bunfig.toml": `preload = ["./evil.js"]\nsmol = true\nlogLevel = "debug"\n[run]\nbun = true\nsilent = false\n`,
    ".bunfig.toml": `preload = ["./evil.js"]\n`,
    ".env": "BUN_BE_BUN=1\nBUN_OPTIONS=--preload=./evil.js\nNODE_ENV=development\n",
    ".env.local": "BUN_JSC_dumpOptions=1\n",
    ".env.production": "BUN_JSC_dumpOptions=1\n",
    ".env.development": "BUN_JSC_dumpOptions=1\n",
    "tsconfig.json": `{"compilerOptions": {"paths": {"*": ["./evil.js"]}, "jsx": "react"}, "extends": "./evil.js"}`,
    "package.json": `{"main": "evil.js", "imports": {"#x": "./evil.js"}, "scripts": {"start": "bun evil.js"}}`,
    "index.js": evil,
    "index.ts": evil,
    "usage.js": evil,
    "usage.ts": evil,
    "node_modules/citty/index.js": evil,
    "node_modules/citty/package.json": `{"name": "citty", "main": "index.js"}`,
    "node_modules/bun:ffi/index.js": evil,
    "node_modules/.bin/bun": "#!/bin/sh\necho evil\n",
    ".npmrc": "node-options=--require ./evil.js\n",
    "libc.so.6/evil": "",
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, "home", name, ".."), { recursive: true });
    writeFileSync(join(folder, "home", name), text);
  }
  writeFileSync(join(folder, "evil.js"), evil);
  mkdirSync(join(folder, "unsealed"));
  await bundle(hostPlatform(), unsealed);
}, 600_000);
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * Leaves out what no two starts have in common: addresses, process IDs, random bytes, and what is free or used, which
 * JavaScriptCore looks up with pread64 each time it has used so much more.
 */
function normalised(trace: string): string {
  return trace
    .replaceAll(/^pread64\(.*\n/gm, "")
    .replaceAll(/^getcwd\(.*/gm, "getcwd…")
    .replaceAll(/^(execve|sysinfo|getrandom|read|epoll_ctl)\(.*\)/gm, "$1(…)")
    .replaceAll(/0x[0-9a-f]+|\b\d{2,}\b/g, "N")
    .replaceAll(/ += /g, " = ")
    .replaceAll(/^(munmap\(N, N\) = 0\n)+/gm, "munmap…\n")
    .replaceAll(/ \{si_signo=.*\}/g, "");
}

let traces = 0;

/** Starts `program` and waits for its end; one that waits is ended with SIGTERM, which it holds back until it sleeps. */
async function run(program: string, mode: Mode, it: Surroundings, traced: boolean): Promise<Run> {
  const trace = traced && STRACE ? join(folder, `trace-${traces++}`) : undefined;
  const args = [...(it.args ?? []), ...(mode === "-v" ? ["-v"] : [])];
  // With -D the process started here becomes the program, and strace its child's child; -E keeps the variables from strace.
  const variables = Object.entries(it.env ?? {}).flatMap(([name, value]) => ["-E", `${name}=${value}`]);
  const strace = trace && STRACE ? [STRACE, "-D", "-f", "-o", trace, ...variables] : [];
  const child = Bun.spawn([...strace, program, ...args], {
    env: trace ? {} : { ...it.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    ...(it.cwd && { cwd: it.cwd }),
    ...(it.argv0 && { argv0: it.argv0 }),
  });
  const stdout = child.stdout.text();
  let stderr = "";
  for await (const chunk of child.stderr) {
    // The first it says, not being PID 1, is the warning: from before that on SIGTERM waits for the handler.
    if (mode === "waiting" && stderr === "") child.kill(SIGTERM);
    stderr += new TextDecoder().decode(chunk);
  }
  const ended = await child.exited;
  const result = { ...endOf(child.exitCode, ended), stdout: await stdout, stderr };
  if (!trace) return { ...result, calls: undefined };
  // strace writes the end after the program has ended.
  await until("strace's last word", () => /\+\+\+ (exited|killed)/.test(readFileSync(trace, "utf8")));
  const calls = normalised(readFileSync(trace, "utf8").replaceAll(/^\d+ +/gm, ""));
  rmSync(trace);
  return { ...result, calls };
}

/**
 * How often a start is observed: one in some twenty asks for one stretch of memory more, because JavaScriptCore lays out
 * its heap at random.
 */
const ATTEMPTS = 6;

/** How starts without anything to change them go, by program, mode, arguments and whether they were traced. */
const undisturbed = new Map<string, Promise<readonly Run[]>>();

/** The modes in which `it` makes `program` start, run or end as it never does with as many arguments that say nothing. */
async function changes(program: string, it: Surroundings, traced = false): Promise<Mode[]> {
  const changed: Mode[] = [];
  const args = (it.args ?? []).map((arg) => "x".repeat(arg.length));
  for (const mode of ["-v", "waiting"] as const) {
    const key = JSON.stringify([program, mode, args, traced]);
    const attempts = Array.from({ length: traced ? ATTEMPTS : 1 });
    const before = undisturbed.get(key) ?? Promise.all(attempts.map(() => run(program, mode, { args }, traced)));
    undisturbed.set(key, before);
    let same = false;
    for (let attempt = 0; attempt < attempts.length && !same; attempt++) {
      const now = await run(program, mode, it, traced);
      same = (await before).some((run) => Bun.deepEquals(run, now));
    }
    if (!same) changed.push(mode);
  }
  return changed;
}

const hostile = (value: string) => value.replaceAll("FOLDER", folder);
const untraced = STRACE ? "" : " (strace is not installed: system calls are not compared)";

describe(`no variable changes anything${untraced}`, () => {
  for (const [reader, names] of Object.entries(VARIABLES)) {
    test(`${reader}: ${names.length}`, async () => {
      const effects: Record<string, Mode[]> = {};
      await forAll<string>(names, 3, async (name) => {
        for (const [index, value] of HOSTILE.entries()) {
          // Tracing takes five times as long: for one value, another one for each name in turn.
          const traced = index === name.length % HOSTILE.length;
          const changed = await changes(OURS, { env: { [name]: hostile(value) } }, traced);
          if (changed.length > 0) effects[`${name}=${value}`] = changed;
        }
      });
      expect(effects).toEqual({});
      expect(existsSync(marker)).toBe(false);
    });
  }

  test.each([...HOSTILE])("all at once: %s", async (value) => {
    const names = Object.values<readonly string[]>(VARIABLES).flat();
    const env = Object.fromEntries(names.map((name) => [name, hostile(value)]));
    expect(await changes(OURS, { env }, true)).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });

  test("a time zone from a pipe that nobody writes to", async () => {
    const pipe = join(folder, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    expect(await changes(OURS, { env: { TZ: `:${pipe}` } }, true)).toEqual([]);
  });
});

describe(`no file changes anything${untraced}`, () => {
  const home = join(folder, "home");
  const places: Record<string, Surroundings> = {
    "in the working directory": { cwd: home },
    "in HOME": { env: { HOME: home, XDG_CONFIG_HOME: home, BUN_INSTALL: home } },
    "in both": { cwd: home, env: { HOME: home, XDG_CONFIG_HOME: home } },
  };
  for (const [title, it] of Object.entries(places)) {
    test(title, async () => {
      expect(await changes(OURS, it, true)).toEqual([]);
      expect(existsSync(marker)).toBe(false);
    });
  }
});

describe("no file changes what --help and --version print", () => {
  test.each(["--help", "--version"])("%s", (arg) => {
    const home = join(folder, "home");
    const printed = (cwd: string, env = {}) => Bun.spawnSync([OURS, arg], { cwd, env }).stdout.toString();
    const undisturbed = printed("/");
    expect(undisturbed).toContain("pause");
    expect(printed(home)).toBe(undisturbed);
    expect(printed(home, { HOME: home, NODE_PATH: home })).toBe(undisturbed);
    expect(existsSync(marker)).toBe(false);
  });
});

describe(`no argument changes anything but -v and --help${untraced}`, () => {
  const evil = join(folder, "evil.js");
  const lists = [
    ...["-e", "--eval", "-p", "--print"].map((flag) => [flag, `require(${JSON.stringify(evil)})`]),
    ...[
      "--preload",
      "-r",
      "--require",
      "--import",
      "--bun",
      "run",
      "build",
      "--",
      "--tsconfig-override",
      "--watch",
    ].map((flag) => [flag, evil]),
    ...["--config", "-c"].map((flag) => [flag, join(folder, "home", "bunfig.toml")]),
    ["--env-file", join(folder, "home", ".env")],
    ["--cwd", join(folder, "home")],
    [evil],
    ...`run start install test repl init upgrade - -i -p --inspect --inspect=127.0.0.1:0 --inspect-brk --inspect-wait
      --smol --expose-gc --hot --if-present --revision --install=force --no-deprecation --max-http-header-size=1
      --cpu-prof --heap-prof --use-system-ca --v8-options --jitless --shell=system --zero-fill-buffers --silent
      --unhandled-rejections=none --dns-result-order=ipv4first --prefer-offline --no-addons --no-install --port=1
      --experimental-http2-fetch --user-agent=x --fetch-preconnect=http://127.0.0.1:1 --trace-deprecation --throw-deprecation`
      .split(/\s+/)
      .map((arg) => [arg]),
    ["add", "left-pad"],
    ["x", "cowsay"],
    ["create", "x"],
    ["pm", "ls"],
    ["exec", "echo evil"],
    ["--define", "process.env=1"],
    ["--conditions", "x"],
    ["--title", "x"],
  ];
  test(`${lists.length} lists`, async () => {
    const effects: string[] = [];
    await forAll(lists, 3, async (args) => {
      if ((await changes(OURS, { args }, true)).length > 0) effects.push(args.join(" "));
    });
    expect(effects).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });

  test.each(["bun", "bunx", "bun-debug", "node", "npx", "sh", "--eval=1"])("called %p", async (argv0) => {
    expect(await changes(OURS, { argv0 })).toEqual([]);
  });
});

describe("the environment that Bun sees instead", () => {
  /** KiB of addresses that a start may take: 320 MB. */
  const MOST = 312_500;
  /** KiB of addresses that a start takes: VmPeak of proc(5). */
  async function peak(env: Readonly<Record<string, string>>, program = OURS): Promise<number> {
    let peak = Number.NaN;
    await whileRunning(startReady({ program, env }), async ({ pid }) => {
      peak = Number.parseInt(status(pid)?.["VmPeak"] ?? "", 10);
    });
    return peak;
  }
  /** What JavaScriptCore would obey, and what it would not. */
  const other = ["0", "4096", "134217728", "1GiB", "x", ""];

  for (const variable of FIXED) {
    const [name = ""] = variable.split("=");
    test(`${name} of the real one changes nothing`, async () => {
      const usual = await peak({});
      expect(usual).toBeLessThanOrEqual(MOST);
      for (const value of other) {
        const env = { [name]: value };
        expect(await changes(OURS, { env }, true)).toEqual([]);
        // The stack and the heap begin somewhere within a page or two.
        expect(Math.abs((await peak(env)) - usual)).toBeLessThan(256);
      }
    });
  }

  test("matters: without the seal the real one decides how many addresses a start takes", async () => {
    const real = Object.fromEntries(FIXED.map((variable) => variable.split("=") as [string, string]));
    expect(await peak({}, unsealed)).toBeGreaterThan(10 * MOST);
    expect(await peak(real, unsealed)).toBeLessThanOrEqual(MOST);
  });

  test("lies in memory that nobody can write to, and is what the executable's environ points to", () => {
    const bytes = readFileSync(OURS);
    const image = new Elf(bytes);
    const memory = image.segments.filter(({ type }) => type === PT_LOAD);
    /** The segment with the address, and where in the file it lies. */
    const home = (address: number) => {
      const segment = memory.find((it) => address >= it.address && address < it.address + it.size);
      if (!segment) throw new Error(`nothing is loaded at ${address}`);
      return { flags: segment.flags, offset: segment.offset + address - segment.address };
    };
    // Its names in the executable, with "=" for the first character, which no symbol of libc's has.
    const addresses = image.symbols
      .filter(({ name }) => /^=(nviron|environ|_environ)$/.test(name))
      .map((it) => it.address);
    expect(addresses).toHaveLength(3);
    const [environ, ...others] = new Set(addresses);
    expect(others).toEqual([]);
    const [written, another] = image.relocations.filter(({ address }) => address === environ);
    expect(another).toBeUndefined();
    const found: string[] = [];
    for (let entry = written?.addend ?? 0; ; entry += 8) {
      const list = home(entry);
      expect(list.flags & (PF_R | PF_W | PF_X)).toBe(PF_R);
      const text = Number(bytes.readBigUInt64LE(list.offset));
      if (text === 0) break;
      const { flags, offset } = home(text);
      expect(flags & (PF_R | PF_W | PF_X)).toBe(PF_R);
      found.push(bytes.toString("latin1", offset, bytes.indexOf(0, offset)));
    }
    expect(found).toEqual([...FIXED]);
  });
});

describe("without the seal", () => {
  const sensitive = {
    BUN_BE_BUN: "1",
    BUN_OPTIONS: "--preload=FOLDER/evil.js",
    BUN_JSC_useJIT: "0",
    BUN_JSC_dumpOptions: "1",
    MIMALLOC_VERBOSE: "1",
  };
  for (const [name, value] of Object.entries(sensitive)) {
    test(`${name}=${value} changes something, and with it nothing`, async () => {
      const it = { env: { [name]: hostile(value) } };
      expect(await changes(unsealed, it)).not.toEqual([]);
      rmSync(marker, { force: true });
      expect(await changes(OURS, it)).toEqual([]);
      expect(existsSync(marker)).toBe(false);
    });
  }
  test("BUN_BE_BUN=1 runs any code", () => {
    const { stdout } = Bun.spawnSync([unsealed, "-e", "console.log(6 * 7)"], { env: { BUN_BE_BUN: "1" } });
    expect(stdout.toString()).toBe("42\n");
  });
  test("BUN_OPTIONS=--preload runs a file", () => {
    Bun.spawnSync([unsealed, "-v"], { env: { BUN_OPTIONS: hostile(sensitive.BUN_OPTIONS) } });
    expect(existsSync(marker)).toBe(true);
    rmSync(marker);
  });
});

describe("the seal", () => {
  const platform = hostPlatform();
  /** The executable as the compiler wrote it, with the import `from` called `to`. */
  const renamed = (from: string, to: string): Buffer => {
    const bytes = readFileSync(unsealed);
    const image = new Elf(bytes);
    for (const symbol of image.symbols.filter(({ name }) => name === from)) image.rename(symbol, to);
    return bytes;
  };

  /** Seals `bytes`, with room as the cut frees it. */
  const sealed = (bytes: Buffer, of = platform) => seal(bytes, of, freeRoom(readFileSync(unsealed)));

  test("the entry point and the cut are all that distinguishes dist/pause from what the compiler writes, to the byte", () => {
    const bytes = readFileSync(unsealed);
    const room = freeRoom(bytes);
    seal(bytes, platform, room);
    addEntry(bytes, platform, room);
    expect(cut(bytes, room).equals(readFileSync(OURS))).toBe(true);
    expect(bytes.equals(readFileSync(unsealed))).toBe(false);
  });
  test("is put on once", () => {
    expect(() => sealed(readFileSync(OURS))).toThrow("unknown symbol =_environ");
  });
  test("fails for another platform's executable", () => {
    const other = PLATFORMS.find(({ name }) => name !== platform.name) ?? platform;
    expect(() => sealed(readFileSync(unsealed), other)).toThrow("the copy of environ: found 0 times");
  });
  test("fails for what is no executable", () => {
    expect(() => sealed(Buffer.from("#!/bin/sh\n".repeat(20)))).toThrow("not a 64-bit");
  });
  test.each(["getenv", "secure_getenv", "gmtime_r", "sigaction", "signal", "pthread_sigmask", "vfprintf", "getcwd"])(
    "fails if Bun no longer takes %s from libc",
    (name) => {
      expect(() => sealed(renamed(name, "moved"))).toThrow(`the import ${name}: found 0 times`);
    },
  );
  test("leaves libc its stderr, and fails if Bun has no copy of it", () => {
    const inBun = (path: string) => new Elf(readFileSync(path)).symbols.filter(({ name }) => name === "stderr");
    expect(inBun(unsealed)).toMatchObject([{ defined: true }]);
    expect(inBun(OURS)).toMatchObject([{ defined: false, address: 0 }]);
    expect(() => sealed(renamed("stderr", "moved"))).toThrow("the variable stderr: found 0 times");
  });
  test("fails if Bun finds its cgroup by another name", () => {
    const bytes = readFileSync(unsealed);
    const at = bytes.indexOf("/proc/self/cgroup");
    expect(() => sealed(bytes.fill("x", at, at + 5))).toThrow("the name of the cgroup file: found 0 times");
  });
  test.each(["self/cgroup", "vm/overcommit_memory"])("leaves no file called …/%s to be found", (name) => {
    expect(readFileSync(OURS).includes(name)).toBe(false);
  });
  test("fails if Bun has another way to its environment", () => {
    expect(() => sealed(renamed("getppid", "getEnv"))).toThrow("unknown symbol getEnv");
    const bytes = readFileSync(unsealed);
    bytes.write("/proc/self/environ", bytes.length - 64);
    expect(() => sealed(bytes)).toThrow("/proc/self/environ");
  });
});
