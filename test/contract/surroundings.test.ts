/** The inheritance from a container engine or a shell besides arguments: the same as the C reference in each case. */
import { describe, expect } from "bun:test";
import { SIGCHLD, SIGINT, SIGPIPE, SIGTERM } from "../../scripts/linux/signals.ts";
import {
  AFTER_3_13,
  RLIMIT_AS,
  RLIMIT_CORE,
  RLIMIT_DATA,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_STACK,
  RT_SIGACTION,
  WAITS,
} from "../support/calls.ts";
import { type Case, type Observation, sameAsReference, sameForBoth } from "../support/compare.ts";
import { NEEDS_ROOT } from "../support/skip.ts";
import { IMAGE_USER } from "../support/subject.ts";

const waits = (ours: Observation) => expect(ours).toMatchObject({ ready: true, exit: 0, signal: null });

/** True if there is no hard limit of the resource that `ulimit` calls `letter`. */
const unlimited = (letter: string) =>
  Bun.spawnSync(["sh", "-c", `ulimit -H -${letter}`]).stdout.toString() === "unlimited\n";

/** Runs the case waiting, as PID 1 and as another. */
const sameWaiting = (title: string, it: Case) => sameForBoth("surroundings", title, it, waits);

/** Runs the case as another PID. */
const same = (title: string, it: Case, more: (ours: Observation) => void) =>
  sameAsReference("surroundings", title, it, more);

describe("descriptors", () => {
  const subsets = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]] as const;
  for (const fds of subsets) {
    const descriptors = Object.fromEntries(fds.map((fd) => [fd, "closed"]));
    sameWaiting(`closed: ${fds}`, { descriptors });
    same(`closed: ${fds}, -v`, { descriptors, args: ["-v"] }, (ours) => expect(ours.exit).toBe(0));
  }
  sameWaiting("full standard error", { descriptors: { 2: "full" } });
  sameWaiting("full standard output", { descriptors: { 1: "full" } });
  same("full standard output, -v", { descriptors: { 1: "full" }, args: ["-v"] }, (ours) =>
    expect(ours).toMatchObject({ exit: 0, stdout: "", stderr: "" }),
  );
  const killed = (ours: Observation) => expect(ours.signal).toBe(SIGPIPE);
  same("standard output a broken pipe, -v", { descriptors: { 1: "broken pipe" }, args: ["-v"] }, killed);
  same("standard error a broken pipe", { descriptors: { 2: "broken pipe" } }, killed);
  same("standard error a broken pipe", { descriptors: { 2: "broken pipe" }, pidOne: true }, waits);
});

describe("file systems", () => {
  sameWaiting("a working directory that is gone", { unlinkedDirectory: true });
  sameWaiting("a read-only root", { readOnlyRoot: true, missing: NEEDS_ROOT });
});

describe("the user and the environment", () => {
  sameWaiting(`uid ${IMAGE_USER} without a passwd entry`, { user: IMAGE_USER });
  sameWaiting("no environment at all", { env: {} });
  sameWaiting("another argv[0]", { name: "/pause" });
});

describe("limits", () => {
  sameWaiting("16 open files", { limits: [[RLIMIT_NOFILE, 16]] });
  sameWaiting("6 open files", { limits: [[RLIMIT_NOFILE, 6]] });
  sameWaiting("1 process", { limits: [[RLIMIT_NPROC, 1]], user: IMAGE_USER });
  sameWaiting("384 MiB of address space", { limits: [[RLIMIT_AS, 384 * 2 ** 20]] });
  sameWaiting("224 MiB of data", { limits: [[RLIMIT_DATA, 224 * 2 ** 20]] });
  sameWaiting("no core file", { limits: [[RLIMIT_CORE, 0]] });
  sameWaiting("a stack of 256 KiB", { limits: [[RLIMIT_STACK, 256 * 1024]] });
  sameWaiting("a stack of 96 KiB", { limits: [[RLIMIT_STACK, 96 * 1024]] });
  // With one the memory of arm64 has another layout.
  sameWaiting("a stack without a limit", {
    limits: [[RLIMIT_STACK, -1]],
    missing: unlimited("s") ? undefined : "the hard limit of the stack cannot be raised",
  });
});

describe("refused system calls", () => {
  sameWaiting("all that came after Linux 3.13", { refused: AFTER_3_13.map((call) => [call] as const) });
  for (const [status, signal] of [SIGINT, SIGTERM, SIGCHLD].entries()) {
    same(`sigaction of signal ${signal}`, { refused: [[RT_SIGACTION, signal]] }, (ours) =>
      expect(ours).toMatchObject({ ready: false, exit: status + 1, stdout: "" }),
    );
  }
  same("the wait", { refused: WAITS.map((call) => [call] as const) }, (ours) => {
    expect(ours).toMatchObject({ ready: false, exit: 42 });
    expect(ours.stderr).toEndWith("Error: infinite loop terminated\n");
  });
});
