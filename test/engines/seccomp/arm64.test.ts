/** The system calls that pause makes on an arm64 kernel, in a virtual machine, are those that docs/seccomp.json lists for it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Apt } from "../../../scripts/debian/apt.ts";
import { callsOf } from "../../../scripts/syscalls/profile.ts";
import { profile } from "../../support/profile.ts";
import { image } from "../../support/project.ts";
import { unpackRoot } from "../apt.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { boot, END, emulator, initrd, kernel } from "../vm.ts";

const PLATFORM = "linux-arm64";

/** Calls made only where the kernel has no clock in user space, or if Bun starts threads, which takes processors and time. */
const ELSEWHERE = ["clock_gettime", "clone", "clone3", "sched_yield"];

/** What the kernel runs first: pause under strace, which uses the loader and libraries in its own folder. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
libraries=/tools/usr/lib/aarch64-linux-gnu
strace="$libraries/ld-linux-aarch64.so.1 --library-path $libraries /tools/usr/bin/strace"
echo
echo "kernel $(uname -r)"
$strace -f -o /version /pause -v >/dev/null
$strace -f -o /help /pause --help >/dev/null
sh -c "sleep 1000 & exec $strace -D -o /life /pause" & pause=$!
until grep -q '^SigCgt:.*14002' /proc/$pause/status && grep -q rt_sigsuspend /life; do sleep 1; done
killall -9 sleep
until grep -q rt_sigreturn /life; do sleep 1; done
kill -TERM $pause
wait $pause
echo "status $?"
until grep -q exit_group /life; do sleep 1; done
echo "calls $(cat /version /help /life | sed -nE 's/^[0-9]* *([a-z0-9_]+)\\(.*/\\1/p' | sort -u | tr '\\n' ' ')"
echo "took $(cut -d ' ' -f 1 /proc/uptime)"
echo "${END}"
poweroff -f
`;

describeEngine("system calls on arm64", [emulator("arm64"), "cpio", "apt-get", "dpkg-deb", "gzip", "tar"], () => {
  let folder = "";
  let seen: Readonly<Record<string, string>> = {};

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-arm64-syscalls-"));
    const apt = await Apt.open(join(folder, "apt"), { architecture: "arm64" });
    const packages = join(folder, "packages");
    const { image: system } = await kernel(apt, "linux-image-cloud-arm64", packages);
    await apt.unpack(["busybox-static"], packages);
    const root = join(folder, "root");
    const made = await image(["--rootfs", root, "--platform", "linux/arm64"], { SOURCE_DATE_EPOCH: "1" });
    if (made.status !== 0) throw new Error(made.stderr);
    for (const name of ["bin", "proc", "dev"]) await mkdir(join(root, name), { recursive: true });
    await unpackRoot(apt, ["strace"], join(root, "tools"));
    await copyFile(join(packages, "bin", "busybox"), join(root, "bin", "busybox"));
    await Bun.write(join(root, "init"), INIT);
    await chmod(join(root, "init"), 0o755);
    const packed = join(folder, "initrd.gz");
    await initrd(root, packed);
    seen = await boot({ architecture: "arm64", kernel: system, initrd: packed, memory: 1500, cpus: 2, seconds: 600 });
    await record("system calls on arm64", { kernel: seen["kernel"], seconds: seen["took"] });
  }, 5 * PATIENCE);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("from its execve to its end it makes the calls of the profile, and no others", () => {
    expect(seen["status"]).toBe("0");
    const traced = seen["calls"]?.trim().split(" ") ?? [];
    const listed = callsOf(profile, [PLATFORM])[PLATFORM] ?? [];
    expect(traced.filter((call) => !listed.includes(call))).toEqual([]);
    expect(listed.filter((call) => !traced.includes(call) && !ELSEWHERE.includes(call))).toEqual([]);
  });
});
