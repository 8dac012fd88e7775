/**
 * Pods where cgroup v2 is the only hierarchy: in a virtual machine with a Debian kernel, on runc and crun alone and
 * under containerd.
 */
import { beforeAll, expect, test } from "bun:test";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Apt } from "../../../scripts/debian/apt.ts";
import { temporary } from "../../support/temporary.ts";
import { TRIXIE } from "../generations.ts";
import { busyboxImage, pauseImage, referenceImage } from "../images.ts";
import type { Images } from "../pods/pod.ts";
import { describeEngine } from "../requirements.ts";
import { record } from "../results.ts";
import { bootMachine, emulator } from "../vm.ts";

/** The longest that the machine may run, in seconds: emulated, and on a busy machine, it has taken sixteen minutes. */
const LONGEST = 2400;

/** The tests that each engine must pass in the machine, at least. */
const TESTS = { runc: 5, crun: 15, containerd: 11 };

/** Kernel modules for overlays, loop devices and a pod's network, in loading order. */
const MODULES = [
  ...["net/llc/llc", "net/802/stp", "net/bridge/bridge", "drivers/net/veth"],
  ...["fs/overlayfs/overlay", "drivers/block/loop"],
];

/** Runs guest.ts. */
const INIT = `mount -t sysfs sys /sys
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs run /run
ln -s /proc/self/fd /dev/fd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in ${MODULES.join(" ")}; do /busybox/insmod /usr/lib/modules/*/kernel/$module.ko.xz; done
ip link set lo up
echo "hierarchies $(grep -c cgroup /proc/mounts)"
echo "controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
echo "containerd $(containerd --version)"
echo "runc $(runc --version | head -n 1)"
echo "crun $(crun --version | head -n 1)"
cd /test
./bun test --timeout 600000 ./guest.test.js >/report 2>&1
echo "status $?"
echo "report $(base64 -w 0 /report)"`;

/** Puts guest.ts, the images and what runs them into /test in `root`. */
async function furnish(root: string): Promise<void> {
  const there = join(root, "test");
  await mkdir(there);
  await cp(process.execPath, join(there, "bun"));
  await cp(join(import.meta.dir, "..", "cri.proto"), join(there, "cri.proto"));
  const entrypoints = [join(import.meta.dir, "guest.ts")];
  await Bun.build({ entrypoints, target: "bun", outdir: there, naming: "guest.test.js" });
  const images: Images = { pause: pauseImage, reference: referenceImage, busybox: busyboxImage };
  for (const [name, imageOf] of Object.entries(images)) {
    const { archive, reference } = await imageOf();
    await cp(archive, join(there, `${name}.tar`));
    await Bun.write(join(there, `${name}.json`), JSON.stringify({ archive: `/test/${name}.tar`, reference }));
  }
}

describeEngine("cgroup v2", [emulator("amd64"), "mkfs.ext4", "apt-get", "debootstrap"], () => {
  let seen: Readonly<Record<string, string>> = {};
  let report = "";

  beforeAll(
    async () => {
      const folder = temporary("cgroup2");
      [seen = {}] = await bootMachine(folder, {
        architecture: "amd64",
        apt: await Apt.open(join(folder, "apt"), { suite: "trixie" }),
        base: await TRIXIE.root(),
        furnish,
        init: INIT,
        memory: 1500,
        cpus: 2,
        seconds: LONGEST,
      });
      report = Buffer.from(seen["report"] ?? "", "base64").toString();
      console.log(report);
      const { took, kernel, containerd, runc, crun } = seen;
      await record("cgroup v2, the machine", { kernel, containerd, runc, crun, seconds: took });
    },
    2 * LONGEST * 1000,
  );

  test("cgroup v2 is the only hierarchy, with the controllers that engines use", () => {
    expect(seen).toMatchObject({ hierarchies: "1", status: "0" });
    expect(seen["controllers"]?.split(" ")).toEqual(expect.arrayContaining(["cpu", "memory", "pids"]));
  });

  for (const [engine, count] of Object.entries(TESTS)) {
    test(`${engine}: every test in the machine passes`, () => {
      const tests = report.split("\n").filter((line) => line.includes(`) ${engine} > `));
      expect(tests.filter((line) => !line.startsWith("(pass)"))).toEqual([]);
      expect(tests.length).toBeGreaterThanOrEqual(count);
    });
  }
});
