/** The arm64 image on real arm64 kernels: Debian's, started by qemu's system emulator with the image as their root, beside C. */
import { beforeAll, expect, test } from "bun:test";
import { chmod, copyFile, exists, mkdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../../package.json";
import { ROOT } from "../../../scripts/command/project.ts";
import { output } from "../../../scripts/command/run.ts";
import { Apt } from "../../../scripts/debian/apt.ts";
import { CHLD_IGNORED, NO_SIGNALS, THREE_HANDLERS, TWO_HANDLERS } from "../../../scripts/linux/proc.ts";
import { image } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { describeEngine } from "../requirements.ts";
import { record } from "../results.ts";
import { boot, END, emulator, initrd, kernel } from "../vm.ts";

/** Compiles C for arm64. */
const CROSS = "aarch64-linux-gnu-gcc";

/** The kernels by page size in KiB, each with a processor that supports it: Armv8.0 has no pages of 16 KiB. */
const KERNELS = [
  { pages: 4, suite: "bookworm", newest: "linux-image-cloud-arm64", processor: "cortex-a72" },
  { pages: 16, suite: "trixie", newest: "linux-image-arm64-16k", processor: "neoverse-n1" },
] as const;

/** The longest that a machine may run, in seconds. */
const LONGEST = 1800;

/** Orphans to reap. */
const ORPHANS = 20;

/** The fields of /proc/PID/status that are printed, the last in KiB. */
const FIELDS = ["NSpid", "Threads", "SigBlk", "SigIgn", "SigCgt", "Seccomp", "VmPTE"];

/** Those of smaps_rollup, in KiB: before Linux 6.2 the counters in `status` are out of date by up to 64 pages. */
const MEMORY = ["Rss", "Anonymous"];

/** Starts that SIGTERM meets before the handlers are there. */
const EARLY = 5;

/** The first program. It prints one `key value` per line, with each side's keys prefixed, and switches the machine off. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
echo
echo "kernel $(uname -r)"
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
    echo "$1_$field $(awk -v field=$field: '$1 == field { print $NF == "kB" ? $2 : $NF }' /proc/$pause/status)"
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
echo "${END}"
poweroff -f
`;

/** Puts the image's files and the C pause into the new folder `root`. */
async function furnish(root: string): Promise<void> {
  const made = await image(["--rootfs", root, "--platform", "linux/arm64"], { SOURCE_DATE_EPOCH: "1" });
  if (made.status !== 0) throw new Error(made.stderr);
  for (const name of ["bin", "proc", "dev", "reference"]) await mkdir(join(root, name), { recursive: true });
  const source = join(ROOT, "scripts", "reference", "pause.c");
  await output([CROSS, "-O2", "-static", '-DVERSION="C"', "-o", join(root, "reference", "pause"), source]);
  await Bun.write(join(root, "init"), INIT);
  await chmod(join(root, "init"), 0o755);
}

for (const { pages, suite, newest, processor } of KERNELS) {
  const needed = [emulator("arm64"), CROSS, "cpio", "apt-get", "dpkg-deb", "gzip"];
  describeEngine(`arm64 kernel with pages of ${pages} KiB`, needed, () => {
    const folder = temporary("arm64-kernel");
    let seen: Readonly<Record<string, string>> = {};
    /** The values that were printed about one side. */
    const of = (side: "ours" | "reference") =>
      Object.fromEntries(
        Object.entries(seen).flatMap(([key, value]) =>
          key.startsWith(`${side}_`) ? [[key.slice(side.length + 1), value] as const] : [],
        ),
      );

    beforeAll(
      async () => {
        const root = join(folder, "root");
        await furnish(root);
        const apt = await Apt.open(join(folder, "apt"), { architecture: "arm64", suite });
        const packages = join(folder, "packages");
        const { image: system } = await kernel(apt, newest, packages);
        await apt.unpack(["busybox-static"], packages);
        // Since Debian 13 it is in /usr/bin.
        const places = [join(packages, "bin", "busybox"), join(packages, "usr", "bin", "busybox")];
        for (const place of places) if (await exists(place)) await copyFile(place, join(root, "bin", "busybox"));
        const packed = join(folder, "initrd.gz");
        await initrd(root, packed);
        const machine = {
          architecture: "arm64",
          processor,
          kernel: system,
          initrd: packed,
          memory: 1500,
          cpus: 1,
        } as const;
        seen = await boot({ ...machine, seconds: LONGEST });
        const memory = Object.fromEntries(
          (["ours", "reference"] as const).map((side) => {
            const { Rss, Anonymous, VmPTE } = of(side);
            return [side, { Rss, Anonymous, VmPTE }];
          }),
        );
        await record(`arm64, pages of ${pages} KiB, memory in KiB`, { kernel: seen["kernel"], ...memory });
      },
      2 * LONGEST * 1000,
    );

    test("-v prints the version", () => {
      expect(seen).toMatchObject({ pages: `${pages}`, version: `pause.ts ${pkg.version}` });
    });

    test("PID 1 sleeps with one thread, two handlers and the lock, and has given JavaScript's memory back", () => {
      const both = { NSpid: "1", Threads: "1", SigBlk: NO_SIGNALS };
      // The shell starts it in the background, with SIGQUIT ignored: bit 2.
      const [ignored, quit] = [CHLD_IGNORED.replace(/0$/, "4"), NO_SIGNALS.replace(/0$/, "4")];
      const ours = { SigIgn: ignored, SigCgt: TWO_HANDLERS, Seccomp: "2", executable: "0" };
      expect(of("ours")).toMatchObject({ ...both, ...ours });
      expect(of("reference")).toMatchObject({ ...both, SigIgn: quit, SigCgt: THREE_HANDLERS });
      expect(Number(of("ours")["Anonymous"])).toBeLessThan(300);
    });

    test("it reaps, and exits with 0 on SIGTERM, as C does", () => {
      const both = { adopted: `${ORPHANS}`, left: "0", exit: "0", said: "Shutting down, got signal: Terminated" };
      expect(of("ours")).toMatchObject(both);
      expect(of("reference")).toMatchObject(both);
    });

    test("SIGTERM that comes before the handlers is not lost", () => {
      expect(seen["early"]).toBe(Array(EARLY).fill("0").join(" "));
    });
  });
}
