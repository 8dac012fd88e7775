/** A virtual machine with a given processor, in which both pauses start, alone and many at once. */
import { chmod, copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Apt } from "../../../scripts/debian/apt.ts";
import { compileStatic, NO_REFERENCE } from "../../../scripts/reference/compile.ts";
import { image } from "../../support/project.ts";
import { boot, END, initrd, kernel } from "../vm.ts";

/** The two that start: the image's files are the machine's root, the reference is in a separate folder. */
export const SIDES = { ours: "/pause", reference: "/reference/pause" } as const;

/** How many start at once, and the kernel's limit on committed memory, in KiB: vm.overcommit_kbytes. */
export const CROWD = { starts: 30, limit: 4 * 1024 * 1024 } as const;

/** What the kernel runs first. It prints one `key value` per line and switches the machine off. */
const init = (crowd: boolean) => `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
echo
echo "kernel $(uname -r)"
echo "processor $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
echo "flags $(sed -n 's/^flags.*: //p' /proc/cpuinfo | head -n 1)"
resting() { grep -q '^State:.S' /proc/$1/status && grep -q '^SigCgt:.*14002' /proc/$1/status; } 2>/dev/null
ended() { [ ! -e /proc/$1 ] || grep -q '^State:.Z' /proc/$1/status; } 2>/dev/null
# The most memory committed until /stop appears, in KiB; without a new process for each look.
most() {
  most=0
  until [ -e /stop ]; do
    while read -r key value unit; do
      [ "$key" = Committed_AS: ] && [ $value -gt $most ] && most=$value
    done </proc/meminfo
  done
  echo $most
}

# The version, and a start with a child that dies, until SIGTERM.
life() {
  echo "$1_version $($2 -v 2>&1)"; $2 -v >/dev/null 2>&1; echo "$1_version_status $?"
  sh -c "sleep 1000 & exec $2" 2>/said & pid=$!
  until resting $pid || ended $pid; do sleep 0.1; done
  resting $pid && echo "$1_rests 1"
  killall -9 sleep
  for n in $(seq 100); do
    left=$(awk -v parent=$pid '$4 == parent' /proc/[0-9]*/stat 2>/dev/null | wc -l)
    [ $left -eq 0 ] && break
    sleep 0.1
  done
  echo "$1_left $left"
  kill -TERM $pid 2>/dev/null
  wait $pid; echo "$1_status $?"
  echo "$1_said $(tail -n 1 /said)"
}

# Many starts at once, with strict overcommit.
crowd() {
  echo 2 >/proc/sys/vm/overcommit_memory; echo ${CROWD.limit} >/proc/sys/vm/overcommit_kbytes
  echo "limit $(awk '/^CommitLimit/ { print $2 }' /proc/meminfo)"
  rm -f /go /stop; pids=
  for n in $(seq ${CROWD.starts}); do
    sh -c "until [ -e /go ]; do sleep 0.2; done; exec $2" 2>/dev/null & pids="$pids $!"
  done
  sleep 1
  most >/most & sampler=$!; renice -n -10 $sampler
  touch /go
  left=1
  while [ $left -gt 0 ]; do
    left=0; sleep 0.5
    for pid in $pids; do resting $pid || ended $pid || left=$((left + 1)); done
  done
  started=0; for pid in $pids; do resting $pid && started=$((started + 1)); done
  echo "$1_started $started"
  touch /stop; wait $sampler
  echo "$1_promised $(cat /most)"
  kill -TERM $pids 2>/dev/null
  good=0; for pid in $pids; do wait $pid && good=$((good + 1)); done
  echo "$1_good $good"
  echo 0 >/proc/sys/vm/overcommit_memory
}

${Object.entries(SIDES)
  .map(([side, program]) => `life ${side} ${program}${crowd ? `; crowd ${side} ${program}` : ""}`)
  .join("\n")}
echo "took $(cut -d ' ' -f 1 /proc/uptime)"
echo "${END}"
poweroff -f
`;

/** What the machines are made of. */
export interface Parts {
  readonly folder: string;
  readonly kernel: string;
  readonly root: string;
}

/** Fetches the kernel and makes the root, both below `folder`, which must be empty. */
export async function parts(folder: string): Promise<Parts> {
  const apt = await Apt.open(join(folder, "apt"));
  const packages = join(folder, "packages");
  const system = await kernel(apt, "linux-image-cloud-amd64", packages);
  const root = join(folder, "root");
  const made = await image(["--rootfs", root, "--platform", "linux/amd64"], { SOURCE_DATE_EPOCH: "1" });
  if (made.status !== 0) throw new Error(made.stderr);
  for (const name of ["bin", "proc", "dev", "reference"]) await mkdir(join(root, name), { recursive: true });
  await copyFile(Bun.which("busybox") ?? "", join(root, "bin", "busybox"));
  const reference = compileStatic();
  if (!reference) throw new Error(NO_REFERENCE);
  await copyFile(reference, join(root, SIDES.reference));
  for (const path of ["bin/busybox", SIDES.reference]) await chmod(join(root, path), 0o755);
  return { folder, kernel: system.image, root };
}

/** What a machine with that processor printed, after at most `seconds`; with a crowd or without. */
export async function runMachine(
  { folder, kernel: system, root }: Parts,
  processor: string,
  { crowd, seconds }: { readonly crowd: boolean; readonly seconds: number },
): Promise<Readonly<Record<string, string>>> {
  await Bun.write(join(root, "init"), init(crowd));
  await chmod(join(root, "init"), 0o755);
  const packed = join(folder, `${processor}.gz`);
  await initrd(root, packed);
  return boot({ architecture: "amd64", processor, kernel: system, initrd: packed, memory: 2000, cpus: 2, seconds });
}
