/**
 * The arm64 image, run by qemu's user-mode emulator. That does not pass SA_NOCLDWAIT on, so nothing is reaped, and has
 * its own threads, so nothing is unmapped: arm64-kernel.test.ts shows both on a real kernel.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../../../package.json";
import { until } from "../../../scripts/linux/proc.ts";
import { image } from "../../support/project.ts";
import { Host, type HostProcess } from "../host.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";

const QEMU = "qemu-aarch64-static";
/** SIGCHLD in a mask of /proc/PID/status. Its handler is the last that pause installs, and the emulator itself has none. */
const SIGCHLD = 1n << 16n;
/** The emulator offers its guest no seccomp filters, so pause says so. */
const UNLOCKED = "Warning: running unlocked: the kernel refused seccomp\n";

describeEngine("arm64", [QEMU], () => {
  let folder = "";
  let command: readonly string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pause-arm64-"));
    const rootfs = join(folder, "rootfs");
    const args = ["--rootfs", rootfs, "--platform", "linux/arm64"];
    const { status, stderr } = await image(args, { SOURCE_DATE_EPOCH: "1" });
    if (status !== 0) throw new Error(stderr);
    // Libraries only from the image.
    command = [QEMU, "-L", rootfs, join(rootfs, "pause")];
  }, PATIENCE);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** The PID of the emulator once pause has installed its handlers. */
  async function installed(host: Host): Promise<number> {
    return until("pause has installed its handlers", async () => {
      for (const { pid } of await host.processes()) {
        const status = await host.status(pid).catch(() => undefined);
        if (status?.Name === QEMU.slice(0, 15) && (BigInt(`0x${status.SigCgt}`) & SIGCHLD) !== 0n) return pid;
      }
      return undefined;
    });
  }

  /** Ends pause and returns what it printed and its status. */
  async function terminate(host: Host, child: HostProcess, pid: number): Promise<readonly [string, number]> {
    await host.kill(pid, "TERM");
    return [await child.stderr.text(), await child.exited];
  }

  test(
    "-v prints the version",
    async () => {
      await using host = await Host.start();
      expect(await host.run([...command, "-v"])).toEqual({
        status: 0,
        stdout: `pause.ts ${pkg.version}\n`,
        stderr: "",
      });
    },
    PATIENCE,
  );

  test(
    "--help prints the help, which is a separate module",
    async () => {
      await using host = await Host.start();
      const { status, stdout, stderr } = await host.run([...command, "--help"]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toContain("USAGE");
    },
    PATIENCE,
  );

  test(
    "warns when it is not PID 1, and exits with 0 on SIGTERM",
    async () => {
      await using host = await Host.start();
      const child = host.spawn(command);
      const [said, status] = await terminate(host, child, await installed(host));
      expect(said).toBe(
        `Warning: pause should be the first process\n${UNLOCKED}Shutting down, got signal: Terminated\n`,
      );
      expect(status).toBe(0);
    },
    PATIENCE,
  );
});
