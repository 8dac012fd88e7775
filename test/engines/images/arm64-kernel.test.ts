/** The arm64 image on real arm64 kernels: Debian's, started by qemu's system emulator with the image as their root, beside C. */
import { beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../../package.json";
import { ROOT } from "../../../scripts/command/project.ts";
import { output } from "../../../scripts/command/run.ts";
import { Apt } from "../../../scripts/debian/apt.ts";
import { runtimeFor } from "../../../scripts/executable/bun.ts";
import { platformNamed } from "../../../scripts/executable/platforms.ts";
import { CHLD_IGNORED, NO_SIGNALS, THREE_HANDLERS, TWO_HANDLERS } from "../../../scripts/linux/proc.ts";
import { callsOf } from "../../../scripts/syscalls/profile.ts";
import { profile } from "../../support/profile.ts";
import { temporary } from "../../support/temporary.ts";
import { unpackRoot } from "../apt.ts";
import { describeEngine } from "../requirements.ts";
import { record } from "../results.ts";
import { bootMachine, emulator } from "../vm.ts";

/** Compiles C for arm64. */
const CROSS = "aarch64-linux-gnu-gcc";

/**
 * The kernels by page size in KiB, each with a processor that supports it: Armv8.0 has no pages of 16 KiB. Some of the
 * project's tests run on each, most of those in which processors and kernels may differ.
 */
const KERNELS = [
  {
    ...{ pages: 4, suite: "bookworm", newest: "linux-image-cloud-arm64", processor: "cortex-a72" },
    tests: ["masks", "seccomp", "start", "surroundings"].map((name) => `test/contract/${name}.test.ts`),
  },
  {
    ...{ pages: 16, suite: "trixie", newest: "linux-image-arm64-16k", processor: "neoverse-n1" },
    tests: ["test/contract/differences.test.ts", "test/contract/reaping.test.ts", "test/rest"],
  },
] as const;

/** All tests but the one that would take minutes, for bun's option -t. */
const QUICK = "^(?!100 starts)";

/** The parts of the project that its build and those tests need. */
const PROJECT = [
  ...["src", "scripts", "test", "docs", "node_modules/citty", "node_modules/markdown-table"],
  ...["package.json", "package-lock.json", "bunfig.toml"],
];

/** The reasons for which tests are skipped in the machine. */
const SKIPPED = /\(skipped: (for x86-64|arm64 has .*|not installed: strip|with larger pages .*)\)$/;

/** The longest that a machine may run, in seconds. */
const LONGEST = 1800;

/** Orphans to reap. */
const ORPHANS = 20;

/** The fields of /proc/PID/status that are printed. */
const FIELDS = ["NSpid", "Threads", "SigBlk", "SigIgn", "SigCgt", "Seccomp"];

/** Those of smaps_rollup, in KiB: before Linux 6.2 the counters in `status` are out of date by up to 64 pages. */
const MEMORY = ["Rss", "Anonymous"];

/**
 * System calls of the profile made only where the kernel has no clock in user space, if Bun starts threads, which needs
 * processors and time, or where a foreign file is mapped.
 */
const ELSEWHERE = ["clock_gettime", "clone", "clone3", "sched_yield", "rt_sigreturn", "rt_sigtimedwait"];

/** Starts that SIGTERM meets before the handlers are there. */
const EARLY = 5;

/** Prints about each side, with keys that begin with its name, how it rests, reaps and ends; then the calls that strace sees. */
const initOf = (tests: readonly string[]) => `
echo "pages $(awk '/^KernelPageSize/ { print $2; exit }' /proc/self/smaps)"
echo "version $(/pause -v)"
children() { awk -v parent=$pause '$4 == parent' /proc/[0-9]*/stat | wc -l; }
# Starts $1 as PID 1 and returns as soon as the fields $2 of its status show the signals.
start() {
  unshare -p -f $1 2>/said &
  shell=$!
  until
    pause=$(awk -v parent=$shell '$4 == parent && $2 == "(pause)" { print $1 }' /proc/[0-9]*/stat 2>/dev/null)
    [ "$pause" ] && grep -qE "Sig($2):.*4002" /proc/$pause/status
  do :; done
}
check() {
  start $2 Cgt
  sleep 2
  for field in ${FIELDS.join(" ")}; do
    echo "$1_$field $(awk -v field=$field: '$1 == field { print $NF }' /proc/$pause/status)"
  done
  for field in ${MEMORY.join(" ")}; do
    echo "$1_$field $(awk -v field=$field: '$1 == field { print $2 }' /proc/$pause/smaps_rollup)"
  done
  echo "$1_executable $(grep -c '/pause$' /proc/$pause/maps)"
  nsenter -t $pause -p sh -c 'for n in $(seq ${ORPHANS}); do sh -c "sleep 1000 &"; done'
  echo "$1_adopted $(children)"
  killall -9 sleep
  for n in $(seq 60); do left=$(children); [ $left = 0 ] && break; sleep 1; done
  echo "$1_left $left"
  kill -TERM $pause
  wait $shell
  echo "$1_exit $?"
  echo "$1_said $(cat /said)"
}
check ours /pause
check reference /reference/pause
early=
while [ $(echo "$early" | wc -w) -lt ${EARLY} ]; do
  start /pause 'Blk|Cgt'
  kill -STOP $pause
  grep -q 'SigCgt:.*4002' /proc/$pause/status && late=yes || late=
  kill -TERM $pause; kill -CONT $pause
  for n in $(seq 60); do [ -e /proc/$pause ] && sleep 1; done
  kill -KILL $pause 2>/dev/null
  wait $shell; status=$?
  [ "$late" ] || early="$early $status"
done
echo "early$early"
libraries=/debian/usr/lib/aarch64-linux-gnu
strace="$libraries/ld-linux-aarch64.so.1 --library-path $libraries /debian/usr/bin/strace"
$strace -f -o /version /pause -v >/dev/null
$strace -f -o /help /pause --help >/dev/null
sh -c "sleep 1000 & exec $strace -D -o /life /pause" & pause=$!
until grep -q '^SigCgt:.*4002' /proc/$pause/status && grep -q rt_sigsuspend /life; do sleep 1; done
killall -9 sleep
sleep 2
kill -TERM $pause
wait $pause
echo "traced $?"
until grep -q exit_group /life; do sleep 1; done
echo "calls $(cat /version /help /life | sed -nE 's/^[0-9]* *([a-z0-9_]+)\\(.*/\\1/p' | sort -u | tr '\\n' ' ')"
mount --bind /debian /debian
mkdir /debian/dev /debian/proc /debian/tmp
mount --rbind /dev /debian/dev; mount -t proc proc /debian/proc
in_project() { BUN_RUNTIME_TRANSPILER_CACHE_PATH=0 chroot /debian sh -c 'cd /project && exec "$@"' sh "$@"; }
in_project bun scripts/build.ts >/report 2>&1
cmp /pause /debian/project/dist/pause >>/report 2>&1 && echo "built same"
in_project bun test --timeout 600000 -t '${QUICK}' ${tests.join(" ")} >>/report 2>&1
echo "status $?"
echo "report $(base64 -w 0 /report)"
`;

/** Puts into `root` the C pause, Debian with what the project's tests need, and in it the project. */
async function furnish(root: string, apt: Apt): Promise<void> {
  await mkdir(join(root, "reference"));
  const source = join(ROOT, "scripts", "reference", "pause.c");
  await output([CROSS, "-O2", "-static", '-DVERSION="C"', "-o", join(root, "reference", "pause"), source]);
  const debian = join(root, "debian");
  await unpackRoot(apt, ["coreutils", "dash", "libseccomp2", "strace", "util-linux"], debian);
  const { path } = await runtimeFor(platformNamed("linux/arm64"));
  await cp(path, join(debian, "usr", "bin", "bun"));
  const project = join(debian, "project");
  for (const name of PROJECT) await cp(join(ROOT, name), join(project, name), { recursive: true });
}

/** Runs the machine with one of the kernels, and returns what it printed. */
async function run({ pages, suite, newest, processor, tests }: (typeof KERNELS)[number]) {
  const folder = temporary("arm64-kernel");
  const apt = await Apt.open(join(folder, "apt"), { architecture: "arm64", suite });
  const size = { memory: 2500, cpus: 2, seconds: LONGEST };
  const machine = { architecture: "arm64", apt, newest, init: initOf(tests), ...size } as const;
  const options = { ...machine, furnish: (root: string) => furnish(root, apt) };
  const [seen = {}] = await bootMachine(folder, options, [processor]);
  const memory = Object.entries(seen).filter(([key]) => MEMORY.some((field) => key.endsWith(`_${field}`)));
  const { kernel, took: seconds } = seen;
  await record(`arm64, pages of ${pages} KiB, memory in KiB`, { kernel, seconds, ...Object.fromEntries(memory) });
  return seen;
}

/** The lines about a side: its values by their names. */
const about = (side: "ours" | "reference", values: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${side}_${name}`, value]));

const needed = [emulator("arm64"), CROSS, "cpio", "apt-get", "dpkg-deb", "gzip", "tar"];
describeEngine("arm64", needed, () => {
  let machines: PromiseSettledResult<Readonly<Record<string, string>>>[] = [];
  beforeAll(
    async () => {
      machines = await Promise.allSettled(KERNELS.map(run));
    },
    2 * LONGEST * 1000,
  );

  describe.each(KERNELS.map((kernel, index) => ({ ...kernel, index })))("pages of $pages KiB", (kernel) => {
    const { index, pages, tests } = kernel;
    const seen = () => {
      const machine = machines[index];
      if (machine?.status !== "fulfilled") throw machine?.reason;
      return machine.value;
    };

    test("-v prints the version", () => {
      expect(seen()).toMatchObject({ pages: `${pages}`, version: `pause.ts ${pkg.version}` });
    });

    test("PID 1 sleeps with one thread, two handlers and the lock, and has given JavaScript's memory back", () => {
      const both = { NSpid: "1", Threads: "1", SigBlk: NO_SIGNALS };
      // The shell starts it in the background, with SIGQUIT ignored: bit 2.
      const [ignored, quit] = [CHLD_IGNORED.replace(/0$/, "4"), NO_SIGNALS.replace(/0$/, "4")];
      const ours = { SigIgn: ignored, SigCgt: TWO_HANDLERS, Seccomp: "2", executable: "0" };
      const reference = { SigIgn: quit, SigCgt: THREE_HANDLERS };
      expect(seen()).toMatchObject(about("ours", { ...both, ...ours }));
      expect(seen()).toMatchObject(about("reference", { ...both, ...reference }));
      expect(Number(seen()["ours_Anonymous"])).toBeLessThan(300);
    });

    test("it reaps, and exits with 0 on SIGTERM, as C does", () => {
      const both = { adopted: `${ORPHANS}`, left: "0", exit: "0", said: "Shutting down, got signal: Terminated" };
      expect(seen()).toMatchObject({ ...about("ours", both), ...about("reference", both) });
    });

    test("SIGTERM that comes before the handlers is not lost", () => {
      expect(seen()["early"]).toBe(Array(EARLY).fill("0").join(" "));
    });

    test("from its execve to its end it makes the calls of the profile, and no others", () => {
      expect(seen()["traced"]).toBe("0");
      const traced = seen()["calls"]?.trim().split(" ") ?? [];
      const listed = callsOf(profile, ["linux-arm64"])["linux-arm64"] ?? [];
      expect(traced.filter((call) => !listed.includes(call))).toEqual([]);
      expect(listed.filter((call) => !traced.includes(call) && !ELSEWHERE.includes(call))).toEqual([]);
    });

    test("a build there gives the same executable as one here", () => {
      expect(seen()["built"]).toBe("same");
    });

    test(`the project's own tests there: ${tests.join(", ")}`, () => {
      const report = Buffer.from(seen()["report"] ?? "", "base64").toString();
      // Bun names what was skipped twice.
      const of = (outcome: "pass" | "skip" | "fail") =>
        [...new Set(report.split("\n"))].filter((line) => line.startsWith(`(${outcome}) `));
      const skipped = of("skip").map((line) => line.slice("(skip) ".length));
      console.log([`${of("pass").length} tests pass there, and these are skipped:`, ...skipped].join("\n"));
      if (seen()["status"] !== "0") console.log(report);
      expect(of("fail")).toEqual([]);
      expect(skipped.filter((title) => !SKIPPED.test(title))).toEqual([]);
      expect(seen()["status"]).toBe("0");
    });
  });
});
