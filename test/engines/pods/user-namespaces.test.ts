/** Pods with `hostUsers: false`: each has its own user namespace, which the containers that join share. */
import { STABLE } from "../generations.ts";
import { MAPPING, OciRuntime } from "../oci.ts";
import { describeGenerations } from "../requirements.ts";
import { bothSides, testPods, UNPRIVILEGED } from "./pod.ts";

/** What the host sees of 65535 in all four fields of Uid and Gid in /proc/PID/status. */
const MAPPED = Array(4)
  .fill(MAPPING.hostID + 65_535)
  .join("\t");

for (const name of ["runc", "crun"] as const) {
  describeGenerations(
    `${name} with user namespaces`,
    [name],
    (generation) => {
      const ownNamespaces = ["ipc", "mnt", "net", "pid", "user", "uts"];
      const sides = bothSides(generation, OciRuntime.with(name, { userNamespaces: true }));
      testPods(sides, { ...UNPRIVILEGED, Uid: MAPPED, Gid: MAPPED, ownNamespaces });
    },
    { tools: ["mkfs.ext4", "losetup", "blockdev", "findmnt"], of: STABLE },
  );
}
