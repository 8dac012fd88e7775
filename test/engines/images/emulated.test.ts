/**
 * The arm64 image under qemu's user-mode emulator, with which builders run it: the kernel reaps there too.
 * arm64-kernel.test.ts shows the rest.
 */
import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Apt } from "../../../scripts/debian/apt.ts";
import { processes, showsReady, status, until } from "../../../scripts/linux/proc.ts";
import { image } from "../../support/project.ts";
import { temporary } from "../../support/temporary.ts";
import { Host } from "../host.ts";
import { describeEngine, PATIENCE } from "../requirements.ts";

/** Debian's releases, and the package with the emulator. */
const EMULATORS = { bookworm: "qemu-user-static", trixie: "qemu-user" } as const;

describeEngine("arm64, emulated", ["apt-get", "dpkg-deb"], () => {
  const root = join(temporary("arm64"), "root");
  beforeAll(async () => {
    const { status, stderr } = await image(["--rootfs", root, "--platform", "linux/arm64"], { SOURCE_DATE_EPOCH: "1" });
    if (status !== 0) throw new Error(stderr);
  }, PATIENCE);

  test.each(Object.entries(EMULATORS))(
    "the kernel reaps orphans with the qemu of %s",
    async (suite, name) => {
      const folder = temporary("qemu");
      const apt = await Apt.open(join(folder, "apt"), { suite });
      await apt.unpack([name], folder);
      const [emulator = ""] = new Bun.Glob("usr/bin/qemu-aarch64{,-static}").scanSync({ cwd: folder, absolute: true });
      await using host = await Host.start();
      const ended = host.run(["unshare", "--pid", "--fork", emulator, "-L", root, join(root, "pause")]);
      const { pid: pause } = await until("pause is ready", () =>
        processes(host.proc()).find(({ pid }) => showsReady(status(pid, host.proc()))),
      );
      const orphans = 'for n in 1 2 3; do sh -c "sleep 1000 >/dev/null 2>&1 &"; done';
      await host.output(["nsenter", `--target=${pause}`, "--pid", "sh", "-c", orphans]);
      const adopted = host.childrenOf(pause);
      expect(adopted).toHaveLength(3);
      for (const { pid } of adopted) await host.kill(pid, "KILL");
      await until("they are reaped", () => host.childrenOf(pause).length === 0);
      await host.kill(pause, "TERM");
      const said = expect.stringMatching(/Shutting down, got signal: Terminated\n$/);
      expect(await ended).toEqual({ status: 0, stdout: "", stderr: said });
    },
    PATIENCE,
  );
});
