/** Runs pods in gVisor, a kernel in user space, on its default platform for x86-64. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../../scripts/linux/proc.ts";
import type { Host } from "./host.ts";
import type { Image } from "./images.ts";
import { OciRuntime } from "./oci.ts";

/** The system calls in which pauses wait. */
const WAITS = ["rt_sigsuspend", "pause"];

/** gVisor on a host. What its processes look like is not seen from outside. */
export class Gvisor extends OciRuntime {
  /** Starts none yet: unpacks the images. */
  static async start(this: void, host: Host, pause: Image, busybox: Image): Promise<Gvisor> {
    const log = ["--debug", `--debug-log=${host.folder}/log/`, "--strace", `--strace-syscalls=${WAITS.join()}`];
    const options = ["--platform=systrap", "--network=none", "--ignore-cgroups", ...log];
    const gvisor = new Gvisor(host, ["runsc", ...options]);
    await gvisor.unpack(pause, busybox);
    return gvisor;
  }

  /** Waits until the pause that was started last waits for signals. */
  async asleep(): Promise<void> {
    const log = join(this.host.folder, "log");
    const waits = new RegExp(`\\b(${WAITS.join("|")}) E `);
    await until("pause to wait in the sandbox", async () => {
      // Their names contain the time.
      const file = (await readdir(log))
        .filter((name) => name.endsWith(".boot.txt"))
        .sort()
        .at(-1);
      return file !== undefined && waits.test(await Bun.file(join(log, file)).text());
    });
  }
}
