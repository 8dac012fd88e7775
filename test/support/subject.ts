/** Starts a program under test and observes it. */
import { copyFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ROOT } from "../../scripts/command/project.ts";
import { makeFolder } from "../../scripts/linux/folder.ts";
import { pidNamespace } from "../../scripts/linux/namespace.ts";
import { childrenOf, isReady, status, until } from "../../scripts/linux/proc.ts";
import type { Launch } from "./launch.ts";

/** Our executable. */
export const OURS = join(ROOT, "dist", "pause");

/** The way to run as PID 1 here, or undefined. */
export const NAMESPACE = pidNamespace();

/** The image's user and group, which no passwd file knows. */
export const IMAGE_USER = 65535;

/** True if every user may enter the folder `path` and those above it. */
export function isOpenToOthers(path: string): boolean {
  return (statSync(path).mode & 1) !== 0 && (path === "/" || isOpenToOthers(dirname(path)));
}

const copies = new Map<string, string>();

/** A path of `program` that every user may run: in root's own folder only root may, and so a copy is made. */
function forEveryUser(program: string): string {
  if (isOpenToOthers(dirname(program))) return program;
  const copy = copies.get(program) ?? join(makeFolder(tmpdir()).path, basename(program));
  if (!copies.has(program)) copyFileSync(program, copy);
  copies.set(program, copy);
  return copy;
}

/** The end of a program: its exit status, or the number of the signal that killed it; and what it wrote. */
export interface Outcome {
  readonly exit: number | null;
  readonly signal: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running program under test. */
export interface Subject {
  /** Its PID as this process sees it. */
  readonly pid: number;
  /** Sends it a signal from here; for a PID 1 that is from outside its namespace. */
  send(signal: number): void;
  /** Sends it a signal from a process in its own PID namespace. */
  sendFromInside(signal: number): Promise<void>;
  /** Waits for its end. */
  ended(): Promise<Outcome>;
  /** Kills it, if it is still there, and waits for its end. */
  kill(): Promise<Outcome>;
}

/** The place of a start: PID 1 of a new namespace or not, and a script before it. */
interface Placement {
  readonly pidOne?: boolean;
  /** A shell script run as the process that then becomes the program: `"$@"` stands for it. */
  readonly before?: string;
}

/** Starts the program as `spec` says and does not wait for anything but its process to exist. */
export async function start(spec: Launch, placement: Placement = {}): Promise<Subject> {
  const program = spec.user === undefined ? spec.program : forEveryUser(spec.program);
  const launcher = [process.execPath, join(import.meta.dir, "launch.ts"), JSON.stringify({ ...spec, program })];
  const shell = placement.before === undefined ? [] : ["sh", "-c", `${placement.before}; exec "$@"`, "sh"];
  const outer = placement.pidOne ? (NAMESPACE?.command ?? []) : [];
  const child = Bun.spawn([...outer, ...shell, ...launcher], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  // Asked for later, Bun 1.4 does not know the number of a real-time signal any more.
  const end = Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  const running = () => child.exitCode === null && child.signalCode === null;
  let pid: number = child.pid;
  if (placement.pidOne) {
    // The shell that is our child forks PID 1 of the new namespace.
    pid = await until("PID 1 of the namespace", () => (running() ? childrenOf(child.pid)[0]?.pid : -1));
  }
  const ended = async (): Promise<Outcome> => {
    const [status, stdout, stderr] = await end;
    // As in a shell the status is 128 and the number of a signal that ended it.
    return { exit: child.exitCode, signal: child.exitCode === null ? status - 128 : null, stdout, stderr };
  };
  return {
    pid,
    ended,
    send: (signal) => process.kill(pid, signal),
    async sendFromInside(signal) {
      const enter = NAMESPACE?.enter(pid) ?? [];
      await Bun.spawn([...enter, "sh", "-c", `kill -${signal} 1`], { stderr: "ignore" }).exited;
    },
    kill() {
      try {
        if (running()) process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
      return ended();
    },
  };
}

/** Starts the program and waits until it sleeps with its handlers installed. Throws with what it wrote if it ends instead. */
export async function startReady(spec: Launch, placement: Placement = {}): Promise<Subject> {
  const subject = await start(spec, placement);
  // Seen ready once is enough: a moment later a child that dies may have woken it.
  const seen = await until(`${spec.program} to be ready`, () => {
    if (isReady(subject.pid)) return "ready";
    return status(subject.pid) === undefined && "ended";
  });
  if (seen === "ended") throw new Error(`it ended instead: ${JSON.stringify(await subject.ended())}`);
  return subject;
}

/** Waits for the subject, calls `body` with it, and kills it whatever the result. */
export async function whileRunning<T>(starting: Promise<Subject>, body: (subject: Subject) => Promise<T>): Promise<T> {
  const subject = await starting;
  try {
    return await body(subject);
  } finally {
    await subject.kill();
  }
}

/**
 * The effect of a delivered signal: waits until it is no longer pending and returns the state that is left, `S` for
 * asleep as before, `T` for stopped, `gone` for dead.
 */
export async function settled(subject: Subject): Promise<"S" | "T" | "gone"> {
  const pending = (mask: string | undefined) => BigInt(`0x${mask || "0"}`) !== 0n;
  return until("the signal to take effect", () => {
    // All of one reading: what is looked up later is of a later moment.
    const now = status(subject.pid);
    const state = now?.["State"]?.[0];
    if (now === undefined || state === undefined || state === "Z" || state === "X") return "gone";
    // It may sleep while its core is written, and as PID 1 that has given up its memory until all others are dead.
    const ending = now["CoreDumping"] === "1" || now["VmSize"] === undefined;
    const busy = ending || pending(now["SigPnd"]) || pending(now["ShdPnd"]);
    return !busy && (state === "S" || state === "T") ? state : undefined;
  });
}
