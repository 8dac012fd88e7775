/** docs/seccomp.json as real engines apply it: runc and crun with no_new_privs, and Docker with and without. */
import { expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { PROFILE } from "../../../scripts/syscalls/profile.ts";
import { profile } from "../../support/profile.ts";
import { Docker, STRICT } from "../docker.ts";
import { onNewHost } from "../engine.ts";
import { busyboxImage, pauseImage } from "../images.ts";
import { OciRuntime } from "../oci.ts";
import { atRest } from "../pods/pod.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";

/** How pause must wait: as PID 1, with its handlers and its own filter on top of the profile. */
const RESTS = { pid: "1", Threads: "1", SigCgt: "0000000000014002", Seccomp: "2", NoNewPrivs: "1" };
const SAID = "Shutting down, got signal: Terminated\n";

describeGenerations("seccomp profile, runtimes", ["runc", "crun"], (generation) => {
  for (const name of ["runc", "crun"] as const) {
    test(
      `${name} starts it with docs/seccomp.json`,
      async () => {
        await using runtime = await onNewHost(generation, async (host) =>
          OciRuntime.with(name)(host, await pauseImage(), await busyboxImage(host.folder)),
        );
        const container = await runtime.startPause("profile", { seccomp: profile });
        if (container.pid < 0) expect(await container.ended).toBeUndefined();
        expect(await atRest(runtime.host, container.pid)).toMatchObject(RESTS);
        expect(await runtime.stop(container, "TERM")).toEqual({ status: 0, stdout: "", stderr: SAID });
      },
      PATIENCE,
    );
  }
});

describeGenerations("seccomp profile, Docker", ["dockerd", "docker", "runc"], (generation) => {
  test(
    "Docker starts it with docs/seccomp.json, with no_new_privs and without",
    async () => {
      await using docker = await onNewHost(generation, async (host) => Docker.start(host, await pauseImage()));
      const file = join(docker.host.folder, "profile.json");
      await copyFile(PROFILE, file);
      const withPrivileges = STRICT.slice(0, STRICT.indexOf("--security-opt"));
      for (const options of [STRICT, withPrivileges]) {
        const seccomp = ["--security-opt", `seccomp=${file}`];
        const id = await docker.output("run", "--detach", ...options, ...seccomp, docker.pause);
        expect(await atRest(docker.host, Number(await docker.inspect(id, ".State.Pid")))).toMatchObject(RESTS);
        await docker.output("stop", id);
        expect(await docker.inspect(id, ".State.ExitCode")).toBe(0);
      }
    },
    2 * PATIENCE,
  );
});
