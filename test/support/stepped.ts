/**
 * Holds a pause at many moments of its start, however fast the machine is: with LD_DEBUG (ld.so(8)) the loader reports on
 * standard error what it loads, and it cannot write a line, nor can pause, before the previous one has been read.
 */
import { dlopen } from "bun:ffi";
import { closeSync, readSync } from "node:fs";
import { type Status, showsReady, status, until } from "../../scripts/linux/proc.ts";
import { SIGCONT, SIGSTOP } from "../../scripts/linux/signals.ts";
import { endOf, OURS, type Outcome } from "./subject.ts";

/** pipe2(2): each write is a packet; fcntl(2): the size of a pipe, here one packet; poll(2): there is something to read. */
const [O_DIRECT, O_CLOEXEC, F_SETPIPE_SZ, POLLIN] = [process.arch === "arm64" ? 0x10000 : 0x4000, 0x80000, 1031, 1];

/** The longest wait for a line, in milliseconds. */
const PATIENCE = 60_000;

const { symbols: libc } = dlopen("libc.so.6", {
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
});

/** A start of ours that goes on line by line. */
export interface Stepped {
  /** Lets it go on to its next line. */
  step(): void;
  /** Waits until it is held at a line, or ready, stops it there, and returns its status. */
  stopped(): Promise<Status>;
  /** Sends it `signal`, lets it go on to its end, and returns the outcome without the loader's lines. */
  endedBy(signal: number): Promise<Outcome>;
}

/** Starts ours. */
export function startStepped(): Stepped {
  const ends = new Int32Array(2);
  if (libc.pipe2(ends, O_DIRECT | O_CLOEXEC) !== 0) throw new Error("there is no pipe of packets");
  const [readEnd, writeEnd] = [...ends] as [number, number];
  if (libc.fcntl(writeEnd, F_SETPIPE_SZ, 1) < 0) throw new Error("the size of the pipe cannot be set");
  const child = Bun.spawn([OURS], { env: { LD_DEBUG: "files" }, stdio: ["ignore", "pipe", writeEnd] });
  closeSync(writeEnd);

  // struct pollfd: the descriptor (4 bytes), events (2), what happened (2).
  const waiting = (milliseconds: number) => libc.poll(new Int32Array([readEnd, POLLIN]), 1, milliseconds) > 0;
  const packet = Buffer.alloc(4096);
  let text = "";
  /** Takes a packet, so that the next one can be written. 0 at the end. */
  const take = (): number => {
    if (!waiting(PATIENCE)) throw new Error("pause neither goes on nor ends");
    const size = readSync(readEnd, packet);
    text += packet.toString("latin1", 0, size);
    return size;
  };
  return {
    step: take,
    async stopped() {
      await until("pause to wait", () => {
        const held = waiting(1);
        const now = status(child.pid);
        return showsReady(now) || (held && now?.["State"]?.startsWith("S"));
      });
      // It may be waiting for something else for a moment: stopped, it stays there while it is looked at.
      child.kill(SIGSTOP);
      return until("pause to stop", () => {
        const now = status(child.pid);
        return now?.["State"]?.startsWith("T") && now;
      });
    },
    async endedBy(signal) {
      child.kill(signal);
      child.kill(SIGCONT);
      while (take() > 0);
      closeSync(readEnd);
      const [stdout, ended] = await Promise.all([child.stdout.text(), child.exited]);
      const stderr = text.replaceAll(/^ *\d+:\t.*\n/gm, "");
      return { ...endOf(child.exitCode, ended), stdout, stderr };
    },
  };
}
