/** Pods where cgroup v2 is the only hierarchy: in a virtual machine with a Debian kernel, on runc and crun alone and under containerd. */
import { beforeAll, expect, test } from "bun:test";
import { temporary } from "../../support/temporary.ts";
import { describeEngine } from "../requirements.ts";
import { record } from "../results.ts";
import { emulator } from "../vm.ts";
import { runMachine } from "./machine.ts";

/** The longest that the machine may run, in seconds: emulated, and on a busy machine, it has taken sixteen minutes. */
const LONGEST = 2400;

/** The tests that each engine must pass in the machine, at least. */
const TESTS = { runc: 5, crun: 15, containerd: 11 };

describeEngine("cgroup v2", [emulator("amd64"), "xz", "mkfs.ext4", "apt-get", "dpkg-deb", "tar"], () => {
  let seen: Readonly<Record<string, string>> = {};
  let report = "";

  beforeAll(
    async () => {
      seen = await runMachine(temporary("cgroup2"), LONGEST);
      report = Buffer.from(seen["report"] ?? "", "base64").toString();
      console.log(report);
      const { booted, took, kernel, containerd, runc, crun } = seen;
      await record("cgroup v2, the machine", { kernel, containerd, runc, crun, bootSeconds: booted, seconds: took });
    },
    2 * LONGEST * 1000,
  );

  test("cgroup v2 is the only hierarchy, with the controllers that engines use", () => {
    expect(seen).toMatchObject({ hierarchies: "1", status: "0" });
    expect(seen["controllers"]?.split(" ")).toEqual(expect.arrayContaining(["cpu", "memory", "pids"]));
  });

  for (const [engine, count] of Object.entries(TESTS)) {
    test(`${engine}: every test in the machine passes`, () => {
      const tests = report.split("\n").filter((line) => line.includes(`) ${engine} > `));
      expect(tests.filter((line) => !line.startsWith("(pass)"))).toEqual([]);
      expect(tests.length).toBeGreaterThanOrEqual(count);
    });
  }
});
