/** The system calls that pause makes on an arm64 kernel, in a virtual machine, are those that docs/seccomp.json lists for it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Apt } from "../../scripts/debian/apt.ts";
import { callsOf } from "../../scripts/syscalls/profile.ts";
import { profile } from "../support/profile.ts";
import { temporary } from "../support/temporary.ts";
import { unpackRoot } from "./apt.ts";
import { describeEngine, PATIENCE } from "./requirements.ts";
import { record } from "./results.ts";
import { bootImage, emulator } from "./vm.ts";

const PLATFORM = "linux-arm64";

/**
 * Calls made only where the kernel has no clock in user space, if Bun starts threads, which needs processors and time, or
 * where a foreign file is mapped.
 */
const ELSEWHERE = ["clock_gettime", "clone", "clone3", "sched_yield", "rt_sigreturn", "rt_sigtimedwait"];

/** Runs pause under strace, which uses the loader and libraries in its own folder. */
const INIT = `
libraries=/tools/usr/lib/aarch64-linux-gnu
strace="$libraries/ld-linux-aarch64.so.1 --library-path $libraries /tools/usr/bin/strace"
$strace -f -o /version /pause -v >/dev/null
$strace -f -o /help /pause --help >/dev/null
sh -c "sleep 1000 & exec $strace -D -o /life /pause" & pause=$!
until grep -q '^SigCgt:.*4002' /proc/$pause/status && grep -q rt_sigsuspend /life; do sleep 1; done
killall -9 sleep
sleep 2
kill -TERM $pause
wait $pause
echo "status $?"
until grep -q exit_group /life; do sleep 1; done
echo "calls $(cat /version /help /life | sed -nE 's/^[0-9]* *([a-z0-9_]+)\\(.*/\\1/p' | sort -u | tr '\\n' ' ')"
`;

describeEngine("system calls on arm64", [emulator("arm64"), "cpio", "apt-get", "dpkg-deb", "gzip", "tar"], () => {
  test(
    "from its execve to its end it makes the calls of the profile, and no others",
    async () => {
      const folder = temporary("arm64-calls");
      const apt = await Apt.open(join(folder, "apt"), { architecture: "arm64" });
      const furnish = (root: string) => unpackRoot(apt, ["strace"], join(root, "tools"));
      const machine = { architecture: "arm64", apt, init: INIT, furnish, memory: 1500, cpus: 2, seconds: 600 } as const;
      const [seen = {}] = await bootImage(folder, machine);
      await record("system calls on arm64", { kernel: seen["kernel"], seconds: seen["took"] });
      expect(seen["status"]).toBe("0");
      const traced = seen["calls"]?.trim().split(" ") ?? [];
      const listed = callsOf(profile, [PLATFORM])[PLATFORM] ?? [];
      expect(traced.filter((call) => !listed.includes(call))).toEqual([]);
      expect(listed.filter((call) => !traced.includes(call) && !ELSEWHERE.includes(call))).toEqual([]);
    },
    5 * PATIENCE,
  );
});
