/**
 * No variable, file or argument changes what pause does: output, exit status and, where strace is installed, the
 * system calls are those of a start without it.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { forgetBuilder } from "../../scripts/executable/bundle.ts";
import { bundle } from "../../scripts/executable/compile.ts";
import { cut, freeRoom } from "../../scripts/executable/cut.ts";
import { Elf } from "../../scripts/executable/elf.ts";
import { addEntry } from "../../scripts/executable/entry.ts";
import { hostPlatform, type Platform } from "../../scripts/executable/platforms.ts";
import { VARIABLES as FIXED, seal } from "../../scripts/executable/seal.ts";
import { status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { forAll } from "../support/parallel.ts";
import { OURS, startReady, whileRunning } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

/** Values that load, run, print or change something where a variable is heeded at all. `FOLDER` holds hostile files. */
const HOSTILE = ["1", "FOLDER/evil.js", "--preload=FOLDER/evil.js --inspect=127.0.0.1:0"] as const;

const prefixed = (prefix: string, names: string): string[] => names.split(/\s+/).map((name) => prefix + name);

/**
 * Those that no executable spells whole: JavaScriptCore and mimalloc put a prefix to an option's name. Or they have no
 * underscore.
 */
const OTHERS: readonly string[] = [
  ...prefixed(
    "BUN_JSC_",
    `bogus configFile dumpOptions dumpGeneratedBytecodes dumpDisassembly crashIfCantAllocateJITMemory disableGC
     diskCachePath forceRAMSize gcMaxHeapSize logGC logJIT scribbleFreeCells showDisassembly traceLLIntExecution
     useConcurrentGC useConcurrentJIT useDFGJIT useDollarVM useGC useJIT useLLInt useProfiler useSamplingProfiler useWasm
     validateOptions verboseFFI watchdog`,
  ),
  ...["mimalloc_", "MIMALLOC_"].flatMap((prefix) =>
    prefixed(
      prefix,
      `show_errors show_stats verbose max_errors reserve_huge_os_pages allow_large_os_pages arena_reserve
       arena_eager_commit purge_delay disallow_os_alloc use_numa_nodes allow_thp guarded_sample_rate`,
    ).map((name) => (prefix === "MIMALLOC_" ? name.toUpperCase() : name)),
  ),
  ...prefixed(
    "",
    `TZ TZDIR LANG LANGUAGE LOCPATH NLSPATH CHARSET HOSTALIASES LOCALDOMAIN TMPDIR TMP TEMP DATEMSK PATH HOME PWD OLDPWD
     SHELL USER LOGNAME SHLVL TERM COLORTERM COLUMNS LINES CI EDITOR VISUAL PORT DEBUG TEST AGENT ENV IFS SSLKEYLOGFILE
     http_proxy https_proxy no_proxy all_proxy npm_config_registry npm_config_user_agent npm_execpath Malloc MallocScribble
     MallocLogFile JSC_useJIT JSC_dumpOptions WTF_numberOfProcessorCores JavaScriptCoreUseJIT`,
  ),
];

/** Returns the names of the variables that the Bun in `bytes` may read: OTHERS, and every word of capitals with an underscore. */
function variablesIn(bytes: Buffer): string[] {
  const texts = bytes.toString("latin1").matchAll(/[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+/g);
  // Bun's texts follow one another without a NUL between them.
  const names = [...texts].flatMap(([text]) => text.split(/(?<=.)(?=BUN_|NODE_)/));
  return [...new Set([...OTHERS, ...names])].filter((name) => !/^(LD_|GLIBC_TUNABLES|MALLOC_)/.test(name));
}

/** The outcome of a start. */
interface Run {
  readonly exit: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** System calls, without what differs from start to start; undefined if they were not traced. */
  readonly calls: string | undefined;
}

/** The inheritance of a start. */
interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly args?: readonly string[];
  readonly argv0?: string;
}

type Mode = "-v" | "waiting";

const STRACE = Bun.which("strace");

/** Hostile files; `marker` comes to exist when any of them is executed. */
const folder = temporary("sealed");
const marker = join(folder, "marker");
const unsealed = join(folder, "unsealed", "pause");

beforeAll(async () => {
  const evil = `require("fs").writeFileSync(${JSON.stringify(marker)}, ""); console.log("evil");`;
  const files: Record<string, string> = {
    "evil.js": evil,
    "bunfig.toml": `preload = ["./evil.js"]\nsmol = true\nlogLevel = "debug"\n[run]\nbun = true\nsilent = false\n`,
    ".bunfig.toml": `preload = ["./evil.js"]\n`,
    ".env": "BUN_BE_BUN=1\nBUN_OPTIONS=--preload=./evil.js\nNODE_ENV=development\n",
    ".env.production": "BUN_JSC_dumpOptions=1\n",
    "tsconfig.json": `{"compilerOptions": {"paths": {"*": ["./evil.js"]}, "jsx": "react"}, "extends": "./evil.js"}`,
    "package.json": `{"main": "evil.js", "imports": {"#x": "./evil.js"}, "scripts": {"start": "bun evil.js"}}`,
    "index.js": evil,
    "node_modules/citty/index.js": evil,
    "node_modules/bun:ffi/index.js": evil,
    "node_modules/.bin/bun": "#!/bin/sh\necho evil\n",
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

/**
 * Leaves out what no two starts have in common: addresses, process IDs, random bytes, what is free or used, which
 * JavaScriptCore looks up in statm each time it has used so much more, and where it does for the first time what it does
 * once: a wake-up of nobody, a page read ahead.
 */
function normalised(trace: string): string {
  return trace
    .replaceAll(/^(pread64\(|futex\(.*FUTEX_WAKE_PRIVATE|madvise\(.*MADV_WILLNEED).*\n/gm, "")
    .replaceAll(/^openat\(.*self\/statm.*\n.*fstat.*\nread\(.*\nclose\(.*\n/gm, "")
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
  let again: Timer | undefined;
  for await (const chunk of child.stderr) {
    if (mode === "waiting" && stderr === "") {
      // The first it says, not being PID 1, is the warning: from before that on SIGTERM waits for the handler.
      child.kill(SIGTERM);
      // Not without the seal: a thread of Bun's may take it, and since glibc 2.41 waits for the lock of exit(3) for ever.
      if (program === unsealed) again = setInterval(() => child.kill(SIGTERM), 100);
    }
    stderr += new TextDecoder().decode(chunk);
  }
  await child.exited;
  clearInterval(again);
  const result = { exit: child.exitCode, signal: child.signalCode, stdout: await stdout, stderr };
  if (!trace) return { ...result, calls: undefined };
  // strace writes the end after the program has ended.
  await until("strace's last word", () => /\+\+\+ (exited|killed)/.test(readFileSync(trace, "utf8")));
  const calls = normalised(readFileSync(trace, "utf8").replaceAll(/^\d+ +/gm, ""));
  rmSync(trace);
  return { ...result, calls };
}

/**
 * The number of times that a start is observed: one in some twenty asks for one stretch of memory more, because
 * JavaScriptCore lays out its heap at random.
 */
const ATTEMPTS = 6;

/** The outcomes of undisturbed starts, by program, mode, arguments and whether they were traced. */
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
  test.each([...HOSTILE])("all at once: %s", async (value) => {
    const names = variablesIn(readFileSync(OURS));
    expect(names.length).toBeGreaterThan(1000);
    const env = Object.fromEntries(names.map((name) => [name, hostile(value)]));
    expect(await changes(OURS, { env }, true)).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });

  test("a time zone from a pipe that nobody writes to", async () => {
    const pipe = join(folder, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    expect(await changes(OURS, { env: { TZ: `:${pipe}` } }, true)).toEqual([]);
  });

  const sensitive = {
    BUN_BE_BUN: "1",
    BUN_OPTIONS: "--preload=FOLDER/evil.js",
    BUN_JSC_useJIT: "0",
    BUN_JSC_dumpOptions: "1",
    MIMALLOC_VERBOSE: "1",
  };
  test.each(Object.entries(sensitive))("%s=%s changes nothing, and without the seal something", async (name, value) => {
    const it = { env: { [name]: hostile(value) } };
    expect(await changes(unsealed, it)).not.toEqual([]);
    rmSync(marker, { force: true });
    expect(await changes(OURS, it)).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });
});

describe(`no file changes anything${untraced}`, () => {
  const home = join(folder, "home");
  test.each<[string, Surroundings]>([
    ["in the working directory", { cwd: home }],
    ["in HOME", { env: { HOME: home, XDG_CONFIG_HOME: home, BUN_INSTALL: home, NODE_PATH: home } }],
  ])("%s", async (_, it) => {
    expect(await changes(OURS, it, true)).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });
});

describe(`no argument changes anything but -v and --help${untraced}`, () => {
  const evil = join(folder, "evil.js");
  const home = join(folder, "home");
  const lists = [
    ...["-e", "--eval", "-p", "--print"].map((flag) => [flag, `require(${JSON.stringify(evil)})`]),
    ...`--preload -r --require --import --bun run build -- --tsconfig-override --watch`
      .split(" ")
      .map((flag) => [flag, evil]),
    ...["--config", "-c"].map((flag) => [flag, join(home, "bunfig.toml")]),
    ["--env-file", join(home, ".env")],
    ["--cwd", home],
    [evil],
    // Options of Node and Bun, some of which have Bun load a module of its own.
    ...`run start install test repl init upgrade - -i -p --inspect --inspect=127.0.0.1:0 --inspect-brk --inspect-wait
      --smol --expose-gc --hot --if-present --revision --install=force --no-deprecation --max-http-header-size=1
      --cpu-prof --heap-prof --use-system-ca --v8-options --jitless --shell=system --zero-fill-buffers --silent
      --unhandled-rejections=none --dns-result-order=ipv4first --prefer-offline --no-addons --no-install --port=1
      --experimental-http2-fetch --user-agent=x --fetch-preconnect=http://127.0.0.1:1 --throw-deprecation
      --trace-deprecation --trace-exit --trace-env --trace-events-enabled --stack-trace-limit=1 add,left-pad x,cowsay
      create,x pm,ls --define,process.env=1 --conditions,x --title,x`
      .split(/\s+/)
      .map((list) => list.split(",")),
  ];
  test(`${lists.length} lists`, async () => {
    const effects: string[] = [];
    await forAll(lists, 3, async (args) => {
      if ((await changes(OURS, { args }, true)).length > 0) effects.push(args.join(" "));
    });
    expect(effects).toEqual([]);
    expect(existsSync(marker)).toBe(false);
  });

  test.each(["bun", "bunx", "node", "sh", "--eval=1"])("called %p", async (argv0) => {
    expect(await changes(OURS, { argv0 })).toEqual([]);
  });
});

describe("the environment that Bun sees instead", () => {
  /** KiB of addresses that a start may reserve: 320 MB. */
  const MOST = 312_500;
  /** KiB of addresses that a start reserves: VmPeak of proc(5). */
  async function peak(env: Readonly<Record<string, string>>, program = OURS): Promise<number> {
    let peak = Number.NaN;
    await whileRunning(startReady({ program, env }), async ({ pid }) => {
      peak = Number.parseInt(status(pid)?.["VmPeak"] ?? "", 10);
    });
    return peak;
  }
  const names = FIXED.map((variable) => variable.replace(/=.*/, ""));

  test.each(["0", "4096", "134217728", "1GiB", "x", ""])("the real one changes nothing: %p", async (value) => {
    const env = Object.fromEntries(names.map((name) => [name, value]));
    expect(await changes(OURS, { env }, true)).toEqual([]);
    const usual = await peak({});
    expect(usual).toBeLessThanOrEqual(MOST);
    // The stack and the heap begin somewhere within a page or two.
    expect(Math.abs((await peak(env)) - usual)).toBeLessThan(256);
  });

  test("matters: without the seal the real one decides how many addresses a start reserves", async () => {
    const real = Object.fromEntries(FIXED.map((variable) => variable.split("=") as [string, string]));
    expect(await peak({}, unsealed)).toBeGreaterThan(10 * MOST);
    expect(await peak(real, unsealed)).toBeLessThanOrEqual(MOST);
  });
});

describe("the seal", () => {
  const platform = hostPlatform();
  const whole = () => readFileSync(unsealed);
  /** The executable as the compiler wrote it, with the import `from` called `to`. */
  const renamed = (from: string, to: string): Buffer => {
    const bytes = whole();
    const image = new Elf(bytes);
    for (const symbol of image.symbols.filter(({ name }) => name === from)) image.rename(symbol, to);
    return bytes;
  };
  /** The executable with the text `from`, which it has once, changed to `to`. */
  const changed = (from: string, to: string): Buffer => {
    const bytes = whole();
    bytes.write(to, bytes.indexOf(from), "latin1");
    return bytes;
  };
  test("the entry point and the cut are all that distinguishes dist/pause from what the compiler writes, to the byte", () => {
    const bytes = whole();
    forgetBuilder(bytes);
    const room = freeRoom(bytes);
    seal(bytes, platform, room);
    addEntry(bytes, platform, room);
    expect(cut(bytes, room).equals(readFileSync(OURS))).toBe(true);
  });
  test("the same bytes come of a build for another machine", async () => {
    const [here, elsewhere] = [whole(), join(temporary("elsewhere"), "pause")];
    // For another libc, the same processor: what the compiler calls another machine.
    await bundle(
      { ...platform, compileTarget: `${platform.compileTarget}-musl` as Platform["compileTarget"] },
      elsewhere,
    );
    const there = readFileSync(elsewhere);
    expect(there.equals(here)).toBe(false);
    for (const bytes of [here, there]) forgetBuilder(bytes);
    expect(there.equals(here)).toBe(true);
  });
  test("another bundle is refused", () => {
    const bytes = whole();
    bytes.write("?", bytes.lastIndexOf("! ----\n"));
    expect(() => forgetBuilder(bytes)).toThrow("its bundle has another format");
  });
  test.each(["/proc/self/cgroup", "/proc/sys/vm/overcommit_memory"])("hides %s", (path) => {
    expect(readFileSync(OURS).includes(`\0${path}\0`)).toBe(false);
  });
  test("leaves libc its stderr", () => {
    const inBun = (path: string) => new Elf(readFileSync(path)).symbols.filter(({ name }) => name === "stderr");
    expect(inBun(unsealed)).toMatchObject([{ defined: true }]);
    expect(inBun(OURS)).toMatchObject([{ defined: false, address: 0 }]);
  });

  /** A change to the executable, and the message of the seal. */
  type Refused = [title: string, tampered: () => Buffer, message: string | RegExp];
  const imports = "getenv secure_getenv gmtime_r sigaction signal pthread_sigmask vfprintf getcwd".split(" ");
  test.each<Refused>([
    ["a seal", () => readFileSync(OURS), /unknown symbol =\w*environ$/],
    ["no ELF header", () => Buffer.from("#!/bin/sh\n".repeat(20)), "not a 64-bit"],
    ...imports.map(
      (name): Refused => [`no ${name}`, () => renamed(name, "moved"), `the import ${name}: found 0 times`],
    ),
    ["no copy of stderr", () => renamed("stderr", "moved"), "the variable stderr: found 0 times"],
    ["no name of the cgroup file", () => changed("/proc/self/cgroup", "/xxxx"), "the name of the cgroup file: found 0"],
    [
      "no name of the overcommit file",
      () => changed("/proc/sys/vm/overcommit_memory", "/xxxx"),
      "the name of the overcommit file: found 0 times",
    ],
    ["another way to the environment", () => renamed("getppid", "getEnv"), "unknown symbol getEnv"],
    ["the environment's file", () => changed("/proc/self/cgroup", "/proc/self/environ"), "/proc/self/environ"],
  ])("refuses an executable with %s", (_, tampered, message) => {
    expect(() => seal(tampered(), platform, freeRoom(whole()))).toThrow(message);
  });
});
