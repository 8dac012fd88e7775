/**
 * Runs a command of this machine in the image's files, so that it, and above all pause, runs with the image's own libc and
 * loader: `bun test/support/in-image.ts npm test`. It needs root, and a libc here that is no newer than the image's.
 *
 * `npm run image -- --rootfs` writes the root. In a mount namespace, the tools of this machine lie below its files in /usr;
 * the folder for temporary files and the project are added, in which dist/pause is the image's /pause.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { run } from "../../scripts/command/run.ts";
import { makeFolder } from "../../scripts/linux/folder.ts";
import { compileReference } from "../../scripts/reference/compile.ts";
import { IS_ROOT } from "./skip.ts";

/**
 * Makes the folder `$1` the root, with the project `$2` and the folder `$3` where they are, and becomes the rest. The
 * loader finds libraries by its own list of folders: there is no /etc/ld.so.cache. In /etc/alternatives Debian's tools
 * have their other names.
 */
const ENTER = `root=$1 project=$2 temporary=$3
shift 3
mount --bind "$root" "$root"
mount -t overlay -o "lowerdir=$root/usr:/usr" overlay "$root/usr"
for folder in /proc /sys /dev /etc/alternatives "$temporary" "$project"; do
  [ -d "$folder" ] || continue
  mkdir -p "$root$folder"
  mount --rbind "$folder" "$root$folder"
done
mount --bind "$root/pause" "$root$project/dist/pause"
for name in bin sbin; do [ -e "$root/$name" ] || ln -s "usr/$name" "$root"; done
mkdir "$root/old"
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
/lib/*-linux-gnu/libc.so.6 | head -n 1
cd "$project"
exec "$@"`;

const command = process.argv.slice(2);
if (command.length === 0 || !IS_ROOT) {
  process.stderr.write("usage, as root: bun test/support/in-image.ts COMMAND [ARGUMENT ...]\n");
  process.exit(2);
}
// With this machine's libc, for the tests that run it later.
compileReference();
const root = join(makeFolder(tmpdir()).path, "root");
// Not by project.ts, which is of tests alone.
const made = await run([process.execPath, join(ROOT, "scripts", "image.ts"), "--rootfs", root], { cwd: ROOT });
if (made.status !== 0) throw new Error(made.stderr.trim());
const enter = ["unshare", "--mount", "sh", "-ec", ENTER, "enter", root, ROOT, tmpdir(), ...command];
process.exit(await Bun.spawn(enter, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] }).exited);
