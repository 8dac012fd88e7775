/** Makes and runs the virtual machine in which cgroup v2 is the only hierarchy, with Debian's container engines and both images. */
import { chmod, copyFile, mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { output } from "../../../scripts/command/run.ts";
import { Apt } from "../../../scripts/debian/apt.ts";
import { unpackRoot } from "../apt.ts";
import { busyboxImage, type Image, pauseImage, referenceImage } from "../images.ts";
import type { Images } from "../pods/pod.ts";
import { boot, disk, END, type Kernel, kernel } from "../vm.ts";

/** The engines, and what their tests and the machine's program use. */
const PACKAGES = [
  ...["containerd", "containernetworking-plugins", "crun", "runc"],
  ...["busybox-static", "coreutils", "dash", "e2fsprogs", "findutils", "mount", "tar", "util-linux"],
];

/** The Debian release whose kernel and engines run: one that current nodes have. */
const SUITE = "trixie";

/** Kernel modules for overlays, loop devices and a pod's network, in loading order. */
const MODULES = [
  ...["net/llc/llc", "net/802/stp", "net/bridge/bridge", "drivers/net/veth"],
  ...["fs/overlayfs/overlay", "drivers/block/loop"],
];

/** Size of the disk in MiB; what is not written takes no space. */
const DISK = 4096;

/** Files in /etc that engines read and no package contains. */
const SETTINGS: Readonly<Record<string, string>> = {
  group: "root:x:0:\n",
  hosts: "127.0.0.1 localhost\n",
  passwd: "root:x:0:0:root:/root:/bin/sh\n",
  "resolv.conf": "",
};

/** The script that the kernel runs first. The empty line terminates the firmware's output. */
const INIT = `#!/usr/bin/busybox sh
busybox=/usr/bin/busybox; [ -e $busybox ] || busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mkdir /busybox
$busybox --install -s /busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/busybox HOME=/root CI=true
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs run /run
ln -s /proc/self/fd /dev/fd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in /test/modules/*; do insmod $module; done
ip link set lo up
echo
echo "booted $(cut -d ' ' -f 1 /proc/uptime)"
echo "kernel $(uname -r)"
echo "hierarchies $(grep -c cgroup /proc/mounts)"
echo "controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
echo "containerd $(containerd --version)"
echo "runc $(runc --version | head -n 1)"
echo "crun $(crun --version | head -n 1)"
cd /test
./bun test --timeout 600000 ./guest.test.js >/report 2>&1
echo "status $?"
echo "report $(base64 -w 0 /report)"
echo "took $(cut -d ' ' -f 1 /proc/uptime)"
echo "${END}"
poweroff -f
`;

/** Puts the machine's program, its images and the kernel's modules into /test in `root`. */
async function furnish(root: string, { modules }: Kernel): Promise<void> {
  const test = join(root, "test");
  await mkdir(join(test, "modules"), { recursive: true });
  for (const [index, name] of MODULES.entries()) {
    // Since Debian 13 modules are compressed.
    const module = join(modules, "kernel", `${name}.ko`);
    const copy = join(test, "modules", `${index}-${basename(name)}.ko`);
    const unpack = 'if [ -e "$1" ]; then cp "$1" "$2"; else xz -dc "$1.xz" >"$2"; fi';
    await output(["sh", "-ec", unpack, "unpack", module, copy]);
  }
  await copyFile(process.execPath, join(test, "bun"));
  await chmod(join(test, "bun"), 0o755);
  const entrypoints = [join(import.meta.dir, "guest.ts")];
  const built = await Bun.build({ entrypoints, target: "bun", outdir: test, naming: "guest.test.js" });
  if (!built.success) throw new Error(built.logs.join("\n"));
  await copyFile(join(import.meta.dir, "..", "cri.proto"), join(test, "cri.proto"));
  const images: Readonly<Record<keyof Images, Image>> = {
    pause: await pauseImage(),
    reference: await referenceImage(),
    busybox: await busyboxImage(),
  };
  const there: Record<string, Image> = {};
  for (const [name, { archive, reference }] of Object.entries(images)) {
    there[name] = { archive: `/test/${name}.tar`, reference };
    await copyFile(archive, join(root, `/test/${name}.tar`));
  }
  await Bun.write(join(test, "images.json"), JSON.stringify(there));
}

/**
 * Runs the machine in `folder`, which must be empty and is the caller's to remove, for at most `seconds`. Returns what
 * it printed: INIT's values, and observations by their keys.
 */
export async function runMachine(folder: string, seconds: number): Promise<Readonly<Record<string, string>>> {
  const apt = await Apt.open(join(folder, "apt"), { suite: SUITE });
  const system = await kernel(apt, "linux-image-cloud-amd64", join(folder, "kernel"));
  const root = join(folder, "root");
  await unpackRoot(apt, PACKAGES, root);
  for (const name of ["dev", "proc", "root", "run", "sys", "tmp"]) await mkdir(join(root, name), { recursive: true });
  await furnish(root, system);
  for (const [name, text] of Object.entries(SETTINGS)) await Bun.write(join(root, "etc", name), text);
  await Bun.write(join(root, "init"), INIT);
  await chmod(join(root, "init"), 0o755);
  const image = join(folder, "disk");
  await disk(root, image, DISK);
  return boot({ architecture: "amd64", kernel: system.image, disk: image, memory: 1500, cpus: 2, seconds });
}
