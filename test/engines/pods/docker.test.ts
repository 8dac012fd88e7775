/** Pods and single containers on Docker. */
import { expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import pkg from "../../../package.json";
import { TWO_HANDLERS, until } from "../../../scripts/linux/proc.ts";
import { PROFILE } from "../../../scripts/syscalls/profile.ts";
import { Docker, STRICT } from "../docker.ts";
import { STABLE } from "../generations.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { atRest, bothSides, compare, testPods, UNPRIVILEGED } from "./pod.ts";

/** Signals that must do nothing to a container's PID 1, including those of a crash. */
const UNHEEDED = ["HUP", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "USR1", "SEGV", "USR2", "PIPE", "ALRM"];
const UNHEEDED_TOO = ["CHLD", "CONT", "TTIN", "URG", "XCPU", "XFSZ", "WINCH", "IO", "PWR", "SYS"];

/** Starts pause in a container called `name`, waits until it sleeps and returns its PID. */
async function start(docker: Docker, name: string, ...options: readonly string[]): Promise<number> {
  await docker.output("run", "--detach", "--name", name, ...STRICT, ...options, docker.pause);
  return sleeping(docker, name);
}

/** Waits until pause sleeps in the container and returns its PID. */
async function sleeping(docker: Docker, name: string): Promise<number> {
  const pid = Number(await docker.inspect(name, ".State.Pid"));
  await atRest(docker.host, pid);
  return pid;
}

/** Waits for the end of a container, and returns what it printed and its state. */
async function ending(docker: Docker, name: string): Promise<Readonly<Record<string, unknown>>> {
  await docker.output("wait", name);
  const { stdout, stderr } = await docker.run("logs", name);
  const state = (await docker.inspect(name, ".State")) as Record<
    "Status" | "ExitCode" | "OOMKilled" | "Error",
    unknown
  >;
  const { Status, ExitCode, OOMKilled, Error: error } = state;
  await docker.output("rm", name);
  return { stdout, stderr, Status, ExitCode, OOMKilled, error };
}

const QUIET_END = { stdout: "", Status: "exited", OOMKilled: false, error: "" };

describeGenerations(
  "Docker",
  ["dockerd", "docker", "containerd", "runc"],
  (generation) => {
    const sides = bothSides(generation, Docker.start);
    testPods(sides, UNPRIVILEGED);

    test(
      "docker inspect: the entry point, no command, the unprivileged user, and no init before it; docker run with -v",
      () =>
        compare(
          sides(),
          {
            entrypoint: ["/pause"],
            user: "65535:65535",
            init: null,
            path: "/pause",
            version: `pause.ts ${pkg.version}`,
          },
          async (docker) => {
            await start(docker, "inspected");
            const field = (name: string) => docker.inspect("inspected", name);
            const seen = {
              entrypoint: await field(".Config.Entrypoint"),
              command: (await field(".Config.Cmd")) ?? [],
              user: await field(".Config.User"),
              init: await field(".HostConfig.Init"),
              path: await field(".Path"),
              args: await field(".Args"),
              restarts: await field(".RestartCount"),
              version: await docker.output("run", "--rm", ...STRICT, docker.pause, "-v"),
            };
            await docker.output("rm", "--force", "inspected");
            return seen;
          },
        ),
      PATIENCE,
    );

    test(
      "docker kill: of all signals but SIGTERM and SIGKILL only SIGINT ends it, and it says why",
      () => {
        const said = "Shutting down, got signal: Interrupt\n";
        return compare(sides(), { unmoved: true, ...QUIET_END, stderr: said, ExitCode: 0 }, async (docker) => {
          const pid = await start(docker, "killed");
          const before = await atRest(docker.host, pid);
          for (const signal of [...UNHEEDED, ...UNHEEDED_TOO])
            await docker.output("kill", "--signal", signal, "killed");
          const unmoved = Bun.deepEquals(await atRest(docker.host, pid), before);
          await docker.output("kill", "--signal", "INT", "killed");
          return { unmoved, ...(await ending(docker, "killed")) };
        });
      },
      PATIENCE,
    );

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
          expect(await ending(docker, "filtered")).toMatchObject({ ExitCode: 0 });
        }
      },
      PATIENCE,
    );

    test(
      "--restart=always: it comes back after its death and a restart of the daemon, and a container can join it again",
      () =>
        compare(sides(), { revived: true, restarted: true, joined: "1 /pause" }, async (docker) => {
          const name = "always";
          const first = await start(docker, name, "--restart", "always");
          const anew = (old: number) =>
            until("it runs again", async () => {
              const { Pid, Running } = (await docker.inspect(name, ".State")) as { Pid: number; Running: boolean };
              return Running && Pid !== 0 && Pid !== old && Pid;
            });
          await docker.host.kill(first, "KILL");
          const second = await anew(first);
          const revived = await atRest(docker.host, second);
          const { pid, Threads } = revived;
          await docker.restart();
          // PIDs are not reused so soon: another PID is another process.
          const third = await anew(second);
          const restarted = await atRest(docker.host, third);
          const look = "echo 1 $(cat /proc/1/cmdline | tr '\\0' ' ')";
          const joiner = ["run", "--rm", "--pid", `container:${name}`, "--network", `container:${name}`];
          const joined = await docker.output(...joiner, docker.busybox, "sh", "-c", look);
          await docker.output("rm", "--force", name);
          return {
            revived: pid === "1" && Threads === "1",
            restarted: Bun.deepEquals(restarted, revived),
            joined,
          };
        }),
      PATIENCE,
    );
  },
  { of: STABLE },
);
