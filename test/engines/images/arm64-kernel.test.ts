/** The arm64 image on a real arm64 kernel: Debian's, started by qemu's system emulator with the image as its root. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../../package.json";
import { NO_SIGNALS, THREE_HANDLERS } from "../../../scripts/linux/proc.ts";
import { image } from "../../support/project.ts";
import { Apt } from "../apt.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";
import { boot, END, emulator, initrd, kernel } from "../vm.ts";

/** Orphans to reap. */
const ORPHANS = 20;

/** What the kernel runs first. It prints one `key value` a line and switches the machine off. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
echo "version $(/pause -v)"
unshare -p -f /pause 2>/said &
shell=$!
until pause=$(grep -l '^Name:.pause$' /proc/[0-9]*/status) && grep -q 'SigCgt:.*${THREE_HANDLERS}' $pause; do sleep 1; done
sleep 1
pause=\${pause#/proc/}; pause=\${pause%/status}
children() { awk -v parent=$pause '$4 == parent' /proc/[0-9]*/stat | wc -l; }
for field in NSpid Threads SigBlk SigCgt Seccomp RssAnon; do
  echo "$field $(awk -v field=$field: '$1 == field { print $NF == "kB" ? $2 : $NF }' /proc/$pause/status)"
done
echo "executable $(grep -c '/pause$' /proc/$pause/maps)"
nsenter -t $pause -p sh -c 'for n in $(seq ${ORPHANS}); do sh -c "sleep 5 &"; done'
echo "adopted $(children)"
sleep 8
echo "left $(children)"
kill -TERM $pause
wait $shell
echo "exit $?"
echo "said $(cat /said)"
echo "${END}"
poweroff -f
`;

describeEngine("arm64 kernel", [emulator("arm64"), "cpio", "apt-get", "dpkg-deb", "gzip"], () => {
  let folder = "";
  let seen: Readonly<Record<string, string>> = {};

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-arm64-kernel-"));
    const apt = await Apt.open(join(folder, "apt"), { architecture: "arm64" });
    const packages = join(folder, "packages");
    const { image: system } = await kernel(apt, "arm64", packages);
    await apt.unpack(["busybox-static"], packages);
    const root = join(folder, "root");
    const made = await image(["--rootfs", root, "--platform", "linux/arm64"], { SOURCE_DATE_EPOCH: "1" });
    if (made.status !== 0) throw new Error(made.stderr);
    for (const name of ["bin", "proc", "dev"]) await mkdir(join(root, name), { recursive: true });
    await copyFile(join(packages, "bin", "busybox"), join(root, "bin", "busybox"));
    await Bun.write(join(root, "init"), INIT);
    await chmod(join(root, "init"), 0o755);
    const packed = join(folder, "initrd.gz");
    await initrd(root, packed);
    seen = await boot({ architecture: "arm64", kernel: system, initrd: packed, memory: 1500, cpus: 1, seconds: 300 });
  }, 2 * PATIENCE);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("-v prints the version", () => {
    expect(seen["version"]).toBe(`pause.ts ${pkg.version}`);
  });

  test("PID 1 sleeps with one thread, three handlers and the lock, and JavaScript's memory is given back", () => {
    expect(seen).toMatchObject({
      NSpid: "1",
      Threads: "1",
      SigBlk: NO_SIGNALS,
      SigCgt: THREE_HANDLERS,
      Seccomp: "2",
      executable: "0",
    });
    expect(Number(seen["RssAnon"])).toBeLessThan(300);
  });

  test("it reaps, and ends with 0 on SIGTERM", () => {
    expect(seen).toMatchObject({
      adopted: `${ORPHANS}`,
      left: "0",
      exit: "0",
      said: "Shutting down, got signal: Terminated",
    });
  });
});
