/** Pods on runc and crun alone, with and without user namespaces. */
import { beforeAll } from "bun:test";
import { STABLE } from "../generations.ts";
import { MAPPING, OciRuntime } from "../oci.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { bothSides, testPods, UNPRIVILEGED } from "./pod.ts";
import { defaultProfiles, type Profiles } from "./seccomp.ts";
import { testStrict } from "./strict.ts";

/** What the host sees of 65535 in all four fields of Uid and Gid in /proc/PID/status, if IDs are mapped. */
const MAPPED = Array(4)
  .fill(MAPPING.hostID + 65_535)
  .join("\t");

const DISKS = ["mkfs.ext4", "losetup", "blockdev", "findmnt"];
const ENGINES = ["containerd", "ctr", "dockerd", "docker", "runc"];

for (const name of ["runc", "crun"] as const) {
  describeGenerations(
    name,
    [name],
    (generation) => {
      const sides = bothSides(generation, OciRuntime.with(name));
      testPods(sides, UNPRIVILEGED);

      let defaults: Profiles;
      beforeAll(async () => {
        defaults = await defaultProfiles(generation);
      }, PATIENCE);
      const profiles = { containerd: () => defaults.containerd, Docker: () => defaults.Docker };
      testStrict(`${name} of ${generation.name}`, sides, profiles, { memory: [16, 8, 6], step: 1 / 16, seconds: 5 });
    },
    { tools: [...ENGINES, ...DISKS], of: STABLE },
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
    { tools: DISKS, of: STABLE },
  );
}
