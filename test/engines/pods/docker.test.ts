/** Pods on Docker, and pause under docs/seccomp.json there. */
import { expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { TWO_HANDLERS } from "../../../scripts/linux/proc.ts";
import { PROFILE } from "../../../scripts/syscalls/profile.ts";
import { Docker, STRICT } from "../docker.ts";
import { STABLE } from "../generations.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { atRest, bothSides, testPods, UNPRIVILEGED } from "./pod.ts";

describeGenerations(
  "Docker",
  ["dockerd", "docker", "containerd", "runc"],
  (generation) => {
    const sides = bothSides(generation, Docker.start);
    testPods(sides, UNPRIVILEGED);

    test(
      "it runs with docs/seccomp.json, with no_new_privs and without",
      async () => {
        const docker = sides().ours;
        const file = join(docker.host.folder, "profile.json");
        await copyFile(PROFILE, file);
        for (const options of [STRICT, STRICT.slice(0, STRICT.indexOf("--security-opt"))]) {
          const run = ["run", "--detach", "--name", "filtered", ...options, "--security-opt", `seccomp=${file}`];
          await docker.output(...run, docker.pause);
          const rest = { pid: "1", Threads: "1", SigCgt: TWO_HANDLERS, Seccomp: "2", NoNewPrivs: "1" };
          expect(await atRest(docker.host, Number(await docker.inspect("filtered", ".State.Pid")))).toMatchObject(rest);
          await docker.output("stop", "filtered");
          expect(await docker.inspect("filtered", ".State.ExitCode")).toBe(0);
          await docker.output("rm", "filtered");
        }
      },
      PATIENCE,
    );
  },
  { of: STABLE },
);
