/**
 * A test of the tests: runs a command and tells what it changed on the machine, which must be nothing. Run as root:
 * `bun test/support/untouched.ts npm test`. Looked at are the page cache, the clock, sysctls, cgroups, mounts, processes, the
 * project's folder, and what was left in the temporary folder and in HOME.
 */
import { dlopen } from "bun:ffi";
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, until } from "../../scripts/linux/proc.ts";

/** prctl(2), timerfd_create(2) and poll(2): linux/prctl.h, bits/timerfd.h, bits/poll.h. */
const [PR_SET_CHILD_SUBREAPER, CLOCK_REALTIME, TFD_NONBLOCK, ABSTIME_AND_CANCEL_ON_SET, POLLIN] = [36, 0, 2048, 3, 1];

const { symbols: libc } = dlopen("libc.so.6", {
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  timerfd_create: { args: ["i32", "i32"], returns: "i32" },
  timerfd_settime: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
});

/** Watches the wall clock from now on. What it returns tells whether anybody has set it since, to and fro included. */
function clockWatch(): () => boolean {
  const fd = libc.timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
  // struct itimerspec: interval and value, each seconds and nanoseconds of 8 bytes. A day that never comes.
  const never = BigInt64Array.from([0n, 0n, 2n ** 40n, 0n]);
  if (fd < 0 || libc.timerfd_settime(fd, ABSTIME_AND_CANCEL_ON_SET, never, null) !== 0) {
    throw new Error("the clock cannot be watched");
  }
  // struct pollfd: the descriptor (4 bytes), events (2), what happened (2).
  return () => libc.poll(new Int32Array([fd, POLLIN]), 1, 0) > 0;
}

/** Everything below `folder` that `wanted` says yes to. */
function walk(folder: string, wanted: (path: string, directory: boolean) => boolean): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    const here = wanted(path, entry.isDirectory()) ? [path] : [];
    return entry.isDirectory() ? [...here, ...walk(path, wanted)] : here;
  });
}

/** The text of a file, or nothing if it is not for reading. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The kernel's settings that can be changed. The last process ID given out is none. */
function sysctls(): Record<string, string> {
  const paths = walk("/proc/sys", (path, directory) => !directory && (lstatSync(path).mode & 0o200) !== 0);
  return Object.fromEntries(
    paths.filter((path) => !path.endsWith("/ns_last_pid")).map((path) => [path, textOf(path)] as const),
  );
}

/** What git says of the project's folder; nothing without git. */
function projectState(): string {
  const git = Bun.which("git");
  return git ? Bun.spawnSync([git, "status", "--porcelain"]).stdout.toString() : "";
}

/** The machine as it is now, by what may be different afterwards. */
function snapshot(): Record<string, unknown> {
  return {
    "the page cache is dropped": textOf("/proc/vmstat").match(/^drop_.*$/gm),
    "sysctls are changed": sysctls(),
    "cgroups are changed": walk("/sys/fs/cgroup", (_, directory) => directory),
    "mounts are changed": textOf("/proc/self/mountinfo"),
    "the project's folder is changed": projectState(),
  };
}

const command = process.argv.slice(2);
if (command.length === 0) {
  process.stderr.write("usage: bun test/support/untouched.ts COMMAND [ARGUMENT ...]\n");
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "pause-untouched-"));
// Some of what is tested runs as another user.
chmodSync(folder, 0o755);
const [TMPDIR, HOME] = [join(folder, "tmp"), join(folder, "home")];
for (const path of [TMPDIR, HOME]) mkdirSync(path);
// Whatever the command leaves running becomes a child of this process.
libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
const clockWasSet = clockWatch();
const before = snapshot();
const npm = { npm_config_cache: join(folder, "npm") }; // npm itself writes to it.
const child = Bun.spawn(command, {
  env: { ...process.env, ...npm, TMPDIR, HOME },
  stdio: ["ignore", "inherit", "inherit"],
});
const status = await child.exited;
/** What the command has left running. */
const left = () => childrenOf(process.pid).filter(({ state }) => state !== "Z");
// Who has been killed may take a moment to end.
await until("all processes to end", () => left().length === 0, 30).catch(() => undefined);
const after = snapshot();
const differences = [
  ...Object.keys(before).filter((what) => !Bun.deepEquals(before[what], after[what])),
  ...(clockWasSet() ? ["the clock is set"] : []),
  ...left().map(({ pid }) => `a process is left: ${textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`),
  ...[TMPDIR, HOME].flatMap((path) => readdirSync(path).map((name) => `left behind: ${join(path, name)}`)),
];
rmSync(folder, { recursive: true });
for (const difference of differences) console.log(`(fail) ${difference}`);
if (differences.length === 0) console.log("(pass) the machine is as it was before");
// As Bun's test runner counts, for whoever adds up.
console.log(` ${Number(differences.length === 0)} pass\n ${differences.length} fail`);
process.exit(status || Number(differences.length > 0));
