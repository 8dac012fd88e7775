/** Pods on podman, run by an ordinary user with subordinate IDs. */
import { test } from "bun:test";
import { THREE_HANDLERS, until } from "../../../scripts/linux/proc.ts";
import { STABLE } from "../generations.ts";
import { Podman, USER } from "../podman.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { testPlay } from "./play.ts";
import { atRest, bothSides, compare, testPods } from "./pod.ts";

/** What the host sees of a container's root in all four fields of Uid and Gid in /proc/PID/status. */
const OWNER = Array(4).fill(USER.id).join("\t");

const ORPHANS = 20;

/** Stays until it is told to end, even as PID 1 of its own namespace, where sleep would ignore SIGTERM. */
const HEED = "trap exit TERM; sleep 86400 & wait";

/** Options for `podman pod create`, and whether pause is PID 1 with them. */
const VARIANTS = [
  { options: ["--infra-command=/pause"], first: true },
  { options: ["--userns=auto"], first: true },
  { options: ["--userns=keep-id"], first: true },
  { options: ["--pid=host"], first: false },
] as const;

describeGenerations(
  "rootless podman",
  ["podman", "conmon", "crun"],
  (generation) => {
    const sides = bothSides(generation, Podman.startRootless);
    const ownNamespaces = ["ipc", "mnt", "net", "pid", "user", "uts"];
    testPods(sides, { Uid: OWNER, Gid: OWNER, NoNewPrivs: "0", Seccomp: "2", ownNamespaces });
    testPlay(sides);

    for (const { options, first } of VARIANTS) {
      const rest = { executable: "/pause", Threads: "1", SigCgt: THREE_HANDLERS, ...(first ? { pid: "1" } : {}) };
      test(
        `podman pod create ${options.join(" ")}: from start to restart`,
        () =>
          compare(sides(), { rest, left: 0, unmoved: true, status: 0, again: rest }, async (podman) => {
            const { host } = podman;
            const pod = await podman.startPod("variant", { sharedPid: first }, ...options);
            const member = await pod.join("member", HEED);
            const resting = async () => {
              const { pid, ...others } = await atRest(
                host,
                Number(await podman.inspect("variant-infra", ".State.Pid")),
              );
              // Without its own PID namespace it has another PID after every start.
              return first ? { pid, ...others } : others;
            };
            const before = await resting();
            await member.exec(`for i in $(seq ${ORPHANS}); do (true &); done`);
            await until("no orphan is left", () => host.childrenOf(pod.pause).length === 0).catch(() => {});
            const left = host.childrenOf(pod.pause).length;
            // With the host's PID namespace PID 1 is not pause, and does not belong to the user.
            if (first) await member.exec("kill -HUP 1; kill -SEGV 1");
            const unmoved = Bun.deepEquals(await resting(), before);
            // With cgroup v1 an ordinary user's pod has no cgroup, and podman refuses both.
            const paused = (await podman.run("pod", "pause", "variant")).status;
            const unpaused = (await podman.run("pod", "unpause", "variant")).status;
            await pod.stop();
            const status = await pod.exitStatus();
            await podman.output("pod", "restart", "variant");
            const again = await resting();
            await pod.remove();
            return { rest: before, left, unmoved, paused, unpaused, status, again };
          }),
        PATIENCE,
      );
    }
  },
  { tools: ["newuidmap", "setpriv"], of: STABLE },
);
