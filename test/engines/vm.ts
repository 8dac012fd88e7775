/** Virtual machines with a Debian kernel, for what this machine's kernel does not offer. Emulated: no KVM. */
import { chmod, cp, mkdir, readdir } from "node:fs/promises";
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

/** A machine to start. One of `initrd` and `disk` is its root; `/init` there is what the kernel runs. */
export interface Machine {
  readonly architecture: Architecture;
  /** The processor's model, as qemu names it; default: the one in EMULATORS. */
  readonly processor?: string;
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of a file made by `initrd`. */
  readonly initrd?: string;
  /** Path of a file made by `disk`: an NVMe disk, for which Debian's kernels need no module. */
  readonly disk?: string;
  /** In MiB. */
  readonly memory: number;
  readonly cpus: number;
  /** The longest that it may run, in seconds. */
  readonly seconds: number;
}

/** The last line that `/init` must print, right before it switches the machine off. */
export const END = "end 0";

/** Characters of the console that an error message shows. */
const TAIL = 4000;

/** The paths of a kernel. */
export interface Kernel {
  /** Path of the kernel. */
  readonly image: string;
  /** Path of the folder with its modules; those of file systems are in `kernel/fs`. */
  readonly modules: string;
}

/**
 * Unpacks below `root` the kernel that Debian's package `newest` depends on: `linux-image-cloud-arm64` is made for
 * virtual machines, `linux-image-arm64-16k` has pages of 16 KiB. `apt` must be of the kernel's architecture.
 */
export async function kernel(apt: Apt, newest: string, root: string): Promise<Kernel> {
  const depends = await apt.run("apt-cache", "depends", newest);
  const name = depends.match(/Depends: (linux-image-\S+)/)?.[1];
  if (name === undefined) throw new Error(`${newest} depends on no kernel: ${depends}`);
  await apt.unpack([name], root);
  const image = (await readdir(join(root, "boot"))).find((file) => file.startsWith("vmlinuz-"));
  if (image === undefined) throw new Error(`there is no kernel in ${name}`);
  const version = image.slice("vmlinuz-".length);
  // Since Debian 13 modules are in /usr/lib.
  const libraries = [join(root, "lib", "modules"), join(root, "usr", "lib", "modules")];
  for (const folder of libraries) {
    const modules = join(folder, version);
    if ((await readdir(modules).catch(() => [])).length > 0) return { image: join(root, "boot", image), modules };
  }
  throw new Error(`there are no modules in ${name}`);
}

/** Packs the folder `root` into `file`, which the kernel unpacks into memory. */
export async function initrd(root: string, file: string): Promise<void> {
  await output(["sh", "-c", 'find . | cpio -o -H newc --quiet | gzip -1 >"$1"', "initrd", file], { cwd: root });
}

/** Writes an ext4 file system of `mebibytes` MiB to `file`, with the files of the folder `root`, all owned by root. */
export async function disk(root: string, file: string, mebibytes: number): Promise<void> {
  await output(["mkfs.ext4", "-q", "-E", "root_owner=0:0", "-d", root, file, `${mebibytes}M`]);
}

/** A machine whose root is the image's files, with a busybox and what `furnish` adds. */
export interface ImageMachine extends Omit<Machine, "kernel" | "initrd" | "disk" | "processor"> {
  /** An apt of that architecture, from whose suite the kernel is. */
  readonly apt: Apt;
  /** The shell script that is run first, with /proc and /dev mounted. It prints lines `key value`. */
  readonly init: string;
  furnish?(root: string): Promise<unknown>;
}

/** Makes such a machine in the folder `folder`, runs it with each of `processors`, and returns what each printed. See boot. */
export async function bootImage(
  folder: string,
  { apt, init, furnish, ...machine }: ImageMachine,
  processors: readonly (string | undefined)[] = [undefined],
): Promise<Readonly<Record<string, string>>[]> {
  const { architecture } = machine;
  const packages = join(folder, "packages");
  const { image: system } = await kernel(apt, `linux-image-cloud-${architecture}`, packages);
  await apt.unpack(["busybox-static"], packages);
  const root = join(folder, "root");
  const made = await image(["--rootfs", root, "--platform", `linux/${architecture}`]);
  if (made.status !== 0) throw new Error(made.stderr);
  for (const name of ["bin", "proc", "dev"]) await mkdir(join(root, name), { recursive: true });
  await cp(join(packages, "bin", "busybox"), join(root, "bin", "busybox"));
  await furnish?.(root);
  const before =
    "/bin/busybox --install -s /bin\nexport PATH=/bin\nmount -t proc proc /proc\nmount -t devtmpfs dev /dev";
  const after = `echo "took $(cut -d ' ' -f 1 /proc/uptime)"\necho "${END}"\npoweroff -f\n`;
  // The empty line ends what the firmware printed.
  await Bun.write(join(root, "init"), `#!/bin/busybox sh\n${before}\necho\necho "kernel $(uname -r)"\n${init}${after}`);
  await chmod(join(root, "init"), 0o755);
  const packed = join(folder, "initrd.gz");
  await initrd(root, packed);
  const seen: Readonly<Record<string, string>>[] = [];
  for (const processor of processors) {
    seen.push(await boot({ ...machine, ...(processor && { processor }), kernel: system, initrd: packed }));
  }
  return seen;
}

/**
 * Runs a machine until it switches itself off, and returns what it printed as lines `key value`: for a repeated key the
 * last one. Throws with the console's last lines if it does not reach END in time.
 */
export async function boot(machine: Machine): Promise<Readonly<Record<string, string>>> {
  const { architecture, memory, cpus, seconds } = machine;
  const drive = machine.disk && [
    ...["-drive", `file=${machine.disk},if=none,id=root,format=raw,cache=unsafe`],
    ...["-device", "nvme,drive=root,serial=root"],
  ];
  const { stdout: console, stderr } = await run([
    ...["timeout", "--kill-after=5", `${seconds}`],
    ...EMULATORS[architecture],
    // If two processors are given, qemu takes the last.
    ...(machine.processor ? ["-cpu", machine.processor] : []),
    ...["-accel", "tcg,thread=multi", "-smp", `${cpus}`, "-m", `${memory}`],
    ...["-nographic", "-nic", "none", "-no-reboot", "-kernel", machine.kernel],
    ...(machine.initrd ? ["-initrd", machine.initrd] : []),
    ...(drive || []),
    "-append",
    `console=${CONSOLES[architecture]} panic=-1 quiet${drive ? " root=/dev/nvme0n1 rw init=/init" : ""}`,
  ]);
  const lines = console.split(/\r?\n/);
  if (!lines.includes(END))
    throw new Error(`the machine went off before it was done: ${stderr}${console.slice(-TAIL)}`);
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [, key, value] = line.match(/^(\w+) (.*)$/) ?? [];
      return key === undefined ? [] : [[key, value ?? ""]];
    }),
  );
}
