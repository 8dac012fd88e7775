/** The arm64 image on a real arm64 kernel: Debian's, started by qemu's system emulator with the image as its root. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../../package.json";
import { image } from "../../project.ts";
import { Apt } from "../apt.ts";
import { output } from "../command.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";

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
until pause=$(grep -l '^Name:.pause$' /proc/[0-9]*/status) && grep -q 'SigCgt:.*14002' $pause; do sleep 1; done
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
poweroff -f
`;

/** Unpacks an arm64 kernel and an arm64 busybox to `unpacked` in `folder`. */
async function packages(folder: string): Promise<void> {
  const apt = await Apt.open(join(folder, "apt"), { architecture: "arm64" });
  const depends = await apt.run("apt-cache", "depends", "linux-image-cloud-arm64");
  const kernel = depends.match(/Depends: (linux-image-\S+)/)?.[1] ?? "linux-image-cloud-arm64";
  await apt.unpack([kernel, "busybox-static"], join(folder, "unpacked"));
}

describeEngine("arm64 kernel", ["qemu-system-aarch64", "cpio", "apt-get", "dpkg-deb", "gzip"], () => {
  let folder = "";
  let seen: Readonly<Record<string, string>> = {};

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-arm64-kernel-"));
    await packages(folder);
    const root = join(folder, "root");
    const made = await image(["--rootfs", root, "--platform", "linux/arm64"], { SOURCE_DATE_EPOCH: "1" });
    if (made.status !== 0) throw new Error(made.stderr);
    for (const name of ["bin", "proc", "dev"]) await mkdir(join(root, name), { recursive: true });
    await output(["cp", "unpacked/bin/busybox", join(root, "bin")], { cwd: folder });
    await Bun.write(join(root, "init"), INIT);
    await chmod(join(root, "init"), 0o755);
    await output(["sh", "-c", "find . | cpio -o -H newc --quiet | gzip -1 >../initrd.gz"], { cwd: root });
    const [kernel = ""] = (await readdir(join(folder, "unpacked", "boot"))).filter((name) =>
      name.startsWith("vmlinuz"),
    );
    const machine = ["-M", "virt", "-cpu", "cortex-a72", "-m", "1500", "-nographic", "-nic", "none", "-no-reboot"];
    const system = ["-kernel", join("unpacked", "boot", kernel), "-initrd", "initrd.gz"];
    const options = ["-append", "console=ttyAMA0 panic=-1 quiet"];
    const console = await output(["timeout", "150", "qemu-system-aarch64", ...machine, ...system, ...options], {
      cwd: folder,
    });
    seen = Object.fromEntries(
      console.split(/\r?\n/).flatMap((line) => {
        const [, key, value] = line.match(/^(\w+) (.*)$/) ?? [];
        return key === undefined ? [] : [[key, value ?? ""]];
      }),
    );
  }, 2 * PATIENCE);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("-v prints the version", () => {
    expect(seen["version"]).toBe(`pause.ts ${pkg.version}`);
  });

  test("PID 1 sleeps with one thread, three handlers and the lock, and JavaScript's memory is given back", () => {
    expect(seen).toMatchObject({
      NSpid: "1",
      Threads: "1",
      SigBlk: "0000000000000000",
      SigCgt: "0000000000014002",
      Seccomp: "2",
      executable: "1",
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
