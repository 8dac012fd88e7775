/** Virtual machines with a Debian kernel, for what this machine's kernel does not offer. Emulated: no KVM. */
import { chmod, cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { output, run } from "../../scripts/command/run.ts";
import type { Apt } from "../../scripts/debian/apt.ts";
import { image } from "../support/project.ts";

/** An architecture, as Debian names it. */
export type Architecture = "amd64" | "arm64";

/** The command that emulates a machine of each architecture. */
const EMULATORS: Readonly<Record<Architecture, readonly string[]>> = {
  amd64: ["qemu-system-x86_64", "-M", "q35", "-cpu", "max"],
  arm64: ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72"],
};

/** The kernel's name for the serial line that qemu writes to its standard output. */
const CONSOLES: Readonly<Record<Architecture, string>> = { amd64: "ttyS0", arm64: "ttyAMA0" };

/** The command that runs a virtual machine of `architecture`, besides those that make its files. */
export function emulator(architecture: Architecture): string {
  return EMULATORS[architecture][0] ?? "";
}

/** A machine to start. Its root has a busybox besides what is given here. */
interface Machine {
  readonly architecture: Architecture;
  /** An apt of that architecture, from whose suite the kernel is. */
  readonly apt: Apt;
  /** The package that depends on the kernel; default: that of the kernel for virtual machines. */
  readonly newest?: string;
  /** The folder with the root's files, which stays as it is; default: the image's, in memory. */
  readonly base?: string | undefined;
  /** Adds files to the root. */
  furnish?(root: string): Promise<unknown>;
  /** The shell script that is run first, with /proc and /dev mounted. It prints lines `key value`. */
  readonly init: string;
  /** In MiB. */
  readonly memory: number;
  readonly cpus: number;
  /** The longest that it may run, in seconds. */
  readonly seconds: number;
}

/** The last line that the machine prints, right before it switches itself off. */
const END = "end 0";

/** Characters of the console that an error message shows. */
const TAIL = 4000;

/** The size of a disk; what is not written takes no space. */
const DISK = "4096M";

/** The path of the file that `pattern` matches, below the folder `root`. Throws if there is none. */
async function found(pattern: string, root: string): Promise<string> {
  const [path] = (await output(["find", root, "-path", pattern])).split("\n");
  if (!path) throw new Error(`there is no ${pattern} below ${root}`);
  return path;
}

/** Unpacks busybox and the kernel that the package `newest` depends on below `root`. */
async function unpackKernel(apt: Apt, newest: string, root: string): Promise<void> {
  const depends = await apt.run("apt-cache", "depends", newest);
  const name = depends.match(/Depends: (linux-image-\S+)/)?.[1];
  if (name === undefined) throw new Error(`${newest} depends on no kernel: ${depends}`);
  await apt.unpack([name, "busybox-static"], root);
}

/** Makes `init` the script that the kernel runs in `root`. The empty line ends what the firmware printed. */
async function writeInit(root: string, init: string, busybox: string): Promise<void> {
  for (const name of ["busybox", "dev", "proc"]) await mkdir(join(root, name), { recursive: true });
  await cp(busybox, join(root, "busybox", "busybox"));
  const script = `#!/busybox/busybox sh
/busybox/busybox --install -s /busybox
export PATH=/usr/sbin:/usr/bin:/busybox HOME=/root CI=true
mount -t proc proc /proc; mount -t devtmpfs dev /dev 2>/dev/null
echo
echo "kernel $(uname -r)"
${init}
echo "took $(cut -d ' ' -f 1 /proc/uptime)"
echo "${END}"
/busybox/poweroff -f
`;
  await Bun.write(join(root, "init"), script);
  await chmod(join(root, "init"), 0o755);
}

/** Packs the folder `root` into `file`, which the kernel unpacks into memory. Returns qemu's options. */
async function initrd(root: string, file: string): Promise<string[]> {
  await output(["sh", "-c", 'find . | cpio -o -H newc --quiet | gzip -1 >"$1"', "initrd", file], { cwd: root });
  return ["-initrd", file];
}

/**
 * Makes `file` an ext4 file system with the files of `folders`, of which the first prevail. Returns qemu's options: an
 * NVMe disk, for which Debian's kernels need no module.
 */
async function disk(folders: readonly string[], file: string): Promise<string[]> {
  const make = 'mount -t overlay -o "lowerdir=$1" overlay /mnt; mkfs.ext4 -q -d /mnt "$2" "$3"';
  await output(["unshare", "--mount", "sh", "-ec", make, "disk", folders.join(":"), file, DISK]);
  return ["-drive", `file=${file},if=none,id=root,format=raw,cache=unsafe`, "-device", "nvme,drive=root,serial=root"];
}

/**
 * Makes a machine in the folder `folder`, runs it with each of `processors`, as qemu names them, and returns what each
 * printed as lines `key value`: for a repeated key the last one. Throws with the console's last lines if one does not
 * come to its end in time.
 */
export async function bootMachine(
  folder: string,
  { architecture, apt, newest, base, furnish, init, memory, cpus, seconds }: Machine,
  processors: readonly (string | undefined)[] = [undefined],
): Promise<Readonly<Record<string, string>>[]> {
  const [packages, root] = [join(folder, "packages"), join(folder, "root")];
  await unpackKernel(apt, newest ?? `linux-image-cloud-${architecture}`, packages);
  const made = base === undefined && (await image(["--rootfs", root, "--platform", `linux/${architecture}`]));
  if (made && made.status !== 0) throw new Error(made.stderr);
  // Since Debian 13 it is in /usr/bin.
  await writeInit(root, init, await found("*/bin/busybox", packages));
  await furnish?.(root);
  const files = base
    ? await disk([root, packages, base], join(folder, "disk"))
    : await initrd(root, join(folder, "initrd.gz"));
  const seen: Readonly<Record<string, string>>[] = [];
  for (const processor of processors) {
    const { stdout: console, stderr } = await run([
      ...["timeout", "--kill-after=5", `${seconds}`],
      ...EMULATORS[architecture],
      // If two processors are given, qemu takes the last.
      ...(processor ? ["-cpu", processor] : []),
      ...["-accel", "tcg,thread=multi", "-smp", `${cpus}`, "-m", `${memory}`],
      ...["-nographic", "-nic", "none", "-no-reboot", "-kernel", await found("*/boot/vmlinuz-*", packages), ...files],
      ...["-append", `console=${CONSOLES[architecture]} panic=-1 quiet root=/dev/nvme0n1 rw init=/init`],
    ]);
    const lines = console.split(/\r?\n/);
    if (!lines.includes(END))
      throw new Error(`the machine went off before it was done: ${stderr}${console.slice(-TAIL)}`);
    const values = lines.flatMap((line) => {
      const [, key, value] = line.match(/^(\w+) (.*)$/) ?? [];
      return key === undefined ? [] : [[key, value ?? ""] as const];
    });
    seen.push(Object.fromEntries(values));
  }
  return seen;
}
