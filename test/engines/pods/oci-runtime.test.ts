/** Pods on runc and crun alone, with and without user namespaces. */
import { STABLE, TRIXIE } from "../generations.ts";
import { MAPPING, OciRuntime } from "../oci.ts";
import { describeGenerations } from "../requirements.ts";
import { bothSides, testPods, UNPRIVILEGED } from "./pod.ts";
import { testStrict } from "./strict.ts";

/** 65535 as the host sees it, in all four fields of Uid and Gid in /proc/PID/status, if IDs are mapped. */
const MAPPED = Array(4)
  .fill(MAPPING.hostID + 65_535)
  .join("\t");

const TERMS = { tools: ["runc", "mkfs.ext4", "losetup", "blockdev", "findmnt"], of: STABLE };

for (const name of ["runc", "crun"] as const) {
  describeGenerations(
    name,
    [name],
    (generation) => {
      const sides = bothSides(generation, OciRuntime.with(name));
      testPods(sides, UNPRIVILEGED);
      const trial = { memory: [16, 8, 6], seconds: 5 };
      // Pause needs the same with an older runtime.
      testStrict(`${name} of ${generation.name}`, sides, generation === TRIXIE ? { ...trial, step: 1 / 16 } : trial);
    },
    TERMS,
  );

  // A kubelet's pods with `hostUsers: false`: the containers that join share pause's user namespace.
  describeGenerations(
    `${name} with user namespaces`,
    [name],
    (generation) => {
      const ownNamespaces = ["ipc", "mnt", "net", "pid", "user", "uts"];
      const sides = bothSides(generation, OciRuntime.with(name, { userNamespaces: true }));
      testPods(sides, { ...UNPRIVILEGED, Uid: MAPPED, Gid: MAPPED, ownNamespaces });
    },
    TERMS,
  );
}
