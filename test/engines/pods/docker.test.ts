/** Pods and single containers on Docker. */
import { expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { median } from "simple-statistics";
import { TWO_HANDLERS, until } from "../../../scripts/linux/proc.ts";
import { PROFILE } from "../../../scripts/syscalls/profile.ts";
import { Docker, STRICT } from "../docker.ts";
import { STABLE } from "../generations.ts";
import { describeGenerations, PATIENCE } from "../requirements.ts";
import { record } from "../results.ts";
import { atRest, bothSides, compare, testPods, UNPRIVILEGED } from "./pod.ts";

/** Signals that must do nothing to a container's PID 1, including those of a crash. */
const UNHEEDED = ["HUP", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "USR1", "SEGV", "USR2", "PIPE", "ALRM"];
const UNHEEDED_TOO = ["CHLD", "CONT", "TTIN", "URG", "XCPU", "XFSZ", "WINCH", "IO", "PWR", "SYS"];

/** How many stops are measured, and the limit on their median, in milliseconds. */
const STOPS = 5;
const SLOWEST_STOP = 1000;

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

/** How a container ended, what it printed, and what Docker says about it. */
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
      "docker run with -v prints name and version",
      () =>
        compare(sides(), { status: 0, words: 2, stderr: "" }, async (docker) => {
          const { status, stdout, stderr } = await docker.run("run", "--rm", ...STRICT, docker.pause, "-v");
          expect(stdout).toEndWith("\n");
          return { status, words: stdout.split(" ").length, lines: stdout.split("\n").length, stderr };
        }),
      PATIENCE,
    );

    test(
      "docker inspect: the entry point, no command, the unprivileged user, and no init before it",
      () =>
        compare(
          sides(),
          { entrypoint: ["/pause"], user: "65535:65535", init: null, path: "/pause" },
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
            };
            await docker.output("rm", "--force", "inspected");
            return seen;
          },
        ),
      PATIENCE,
    );

    test(
      "docker stop: it exits with 0 within a second and says why",
      async () => {
        const times: Record<string, number> = {};
        const end = { ...QUIET_END, ExitCode: 0, stderr: "Shutting down, got signal: Terminated\n" };
        await compare(sides(), end, async (docker) => {
          const taken: number[] = [];
          for (let stop = 1; stop < STOPS; stop++) {
            await start(docker, "stopping");
            taken.push(await timeOfStop(docker));
            await docker.output("rm", "stopping");
          }
          await start(docker, "stopping");
          taken.push(await timeOfStop(docker));
          times[docker === sides().ours ? "ours" : "reference"] = Math.round(median(taken));
          return ending(docker, "stopping");
        });
        await record(`Docker of ${generation.name}, docker stop, median of ${STOPS}, milliseconds`, times);
        for (const time of Object.values(times)) expect(time).toBeLessThan(SLOWEST_STOP);
      },
      PATIENCE,
    );

    test(
      "docker kill: only SIGINT, SIGTERM and SIGKILL end it",
      () =>
        compare(sides(), { unmoved: true, ...QUIET_END, ExitCode: 0 }, async (docker) => {
          const pid = await start(docker, "killed");
          const before = await atRest(docker.host, pid);
          for (const signal of [...UNHEEDED, ...UNHEEDED_TOO])
            await docker.output("kill", "--signal", signal, "killed");
          const unmoved = Bun.deepEquals(await atRest(docker.host, pid), before);
          await docker.output("kill", "--signal", "TERM", "killed");
          return { unmoved, ...(await ending(docker, "killed")) };
        }),
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

    for (const [signal, ExitCode, stderr] of [
      ["INT", 0, "Shutting down, got signal: Interrupt\n"],
      ["TERM", 0, "Shutting down, got signal: Terminated\n"],
      ["KILL", 128 + 9, ""],
    ] as const) {
      test(
        `docker kill --signal ${signal}: status ${ExitCode}`,
        () =>
          compare(sides(), { ...QUIET_END, ExitCode, stderr }, async (docker) => {
            await start(docker, "signalled");
            await docker.output("kill", "--signal", signal, "signalled");
            return ending(docker, "signalled");
          }),
        PATIENCE,
      );
    }

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

/** Milliseconds that `docker stop stopping` takes. */
async function timeOfStop(docker: Docker): Promise<number> {
  const start = performance.now();
  await docker.output("stop", "stopping");
  return performance.now() - start;
}
