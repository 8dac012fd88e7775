/** Roots made of Debian packages of any suite and architecture. */
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { Apt } from "../../scripts/debian/apt.ts";

/**
 * Downloads packages with their dependencies, and unpacks their files below `root`, which is made if need be: a root
 * file system in which no package has been configured. /bin, /lib, /lib64 and /sbin become links to those in /usr.
 */
export async function unpackRoot(apt: Apt, names: readonly string[], root: string): Promise<void> {
  await apt.run("apt-get", "install", "-q", "-y", "--download-only", "--no-install-recommends", ...names);
  for (const name of ["bin", "lib", "lib64", "sbin"]) {
    await mkdir(join(root, "usr", name), { recursive: true });
    await symlink(join("usr", name), join(root, name));
  }
  const unpack =
    'for file in cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink -C "$1"; done';
  await apt.run("sh", "-ec", unpack, "unpack", root);
}
