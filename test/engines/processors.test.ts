/**
 * Pause on other processors than this machine's, and with strict overcommit: in virtual machines with Debian's kernel,
 * beside the C reference.
 */
import { beforeAll, expect, test } from "bun:test";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../package.json";
import { Apt } from "../../scripts/debian/apt.ts";
import { compileStatic, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { temporary } from "../support/temporary.ts";
import { describeEngine, PATIENCE } from "./requirements.ts";
import { record } from "./results.ts";
import { bootMachine, emulator } from "./vm.ts";

/** The longest that a machine may run, in seconds: on an idle host they take 30 and 10. */
const LONGEST = 600;

/** 128 and SIGILL, as a shell reports it. */
const ILLEGAL_INSTRUCTION = "132";

/** Starts at once. */
const CROWD = 30;

/** The kernel's limit on committed memory, in KiB (vm.overcommit_kbytes): 196 MiB for each start, and 20 for the rest. */
const LIMIT = CROWD * (196 + 20) * 1024;

/** Prints about each side: its version; whether it rests and reaps, and how it ends on SIGTERM; how many of a crowd do. */
const INIT = `
echo "flags $(sed -n 's/^flags.*: //p' /proc/cpuinfo | head -n 1)"
resting() { grep -q '^State:.S' /proc/$1/status && grep -q '^SigCgt:.*4002' /proc/$1/status; } 2>/dev/null
settled() { until resting $1 || [ ! -e /proc/$1 ] || grep -q '^State:.Z' /proc/$1/status; do sleep 0.2; done; } 2>/dev/null
check() {
  echo "$1_version $($2 -v 2>&1)"
  sh -c "sleep 1000 & exec $2" 2>/said & pid=$!
  settled $pid
  killall -9 sleep
  sleep 2
  echo "$1_left $(awk -v parent=$pid '$4 == parent' /proc/[0-9]*/stat | wc -l)"
  kill -TERM $pid 2>/dev/null
  wait $pid; echo "$1_status $?"
  echo "$1_said $(tail -n 1 /said)"

  echo 2 >/proc/sys/vm/overcommit_memory; echo ${LIMIT} >/proc/sys/vm/overcommit_kbytes
  rm -f /go; pids=
  for n in $(seq ${CROWD}); do
    sh -c "until [ -e /go ]; do sleep 0.2; done; exec $2" 2>/dev/null & pids="$pids $!"
  done
  sleep 1
  touch /go
  for pid in $pids; do settled $pid; done
  kill -TERM $pids 2>/dev/null
  good=0; for pid in $pids; do wait $pid && good=$((good + 1)); done
  echo "$1_good $good"
  echo 0 >/proc/sys/vm/overcommit_memory
}
check ours /pause
check reference /reference/pause
`;

/** The lines of a side that starts and ends as it should. */
const runs = (side: "ours" | "reference") => ({
  [`${side}_left`]: "0",
  [`${side}_status`]: "0",
  [`${side}_said`]: "Shutting down, got signal: Terminated",
  [`${side}_good`]: `${CROWD}`,
});

describeEngine("processors", [emulator("amd64"), "cpio", "apt-get", "dpkg-deb", "gzip"], () => {
  let [nehalem, qemu64]: Readonly<Record<string, string>>[] = [];

  beforeAll(
    async () => {
      const folder = temporary("processors");
      const furnish = async (root: string) => {
        const reference = compileStatic();
        if (!reference) throw new Error(NO_REFERENCE);
        await mkdir(join(root, "reference"));
        await cp(reference, join(root, "reference", "pause"));
      };
      const apt = await Apt.open(join(folder, "apt"));
      const machine = {
        architecture: "amd64",
        apt,
        init: INIT,
        furnish,
        memory: 2000,
        cpus: 2,
        seconds: LONGEST,
      } as const;
      [nehalem, qemu64] = await bootMachine(folder, machine, ["Nehalem", "qemu64"]);
      await record("processors", { kernel: nehalem?.["kernel"], seconds: [nehalem?.["took"], qemu64?.["took"]] });
    },
    PATIENCE + 2 * LONGEST * 1000,
  );

  test(`without AVX, Nehalem, both run; ${CROWD} starts at once with vm.overcommit_memory=2 too`, () => {
    expect(nehalem?.["flags"]?.split(" ")).toEqual(expect.arrayContaining(["sse4_2", "popcnt"]));
    expect(nehalem?.["flags"]?.split(" ")).not.toContain("avx");
    expect(nehalem).toMatchObject({ ours_version: `pause.ts ${pkg.version}`, ...runs("ours"), ...runs("reference") });
  });

  test("without SSE4.2 and POPCNT, qemu64, the reference runs, and ours ends silently with SIGILL", () => {
    for (const flag of ["sse4_2", "popcnt"]) expect(qemu64?.["flags"]?.split(" ")).not.toContain(flag);
    const ours = { ours_version: "", ours_status: ILLEGAL_INSTRUCTION, ours_said: "", ours_good: "0" };
    expect(qemu64).toMatchObject({ ...ours, ...runs("reference") });
  });
});
