/** `npm run syscalls`: traces the system calls that pause makes, and compares them with docs/seccomp.json or writes it. */
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { command } from "./command/command.ts";
import { ROOT } from "./command/project.ts";
import { InputError, progress } from "./command/report.ts";
import { hostPlatform, PLATFORMS, type Platform } from "./executable/platforms.ts";
import { writeFolder } from "./image/assemble.ts";
import { mirrorAt } from "./image/libc.ts";
import { provenance } from "./image/provenance.ts";
import { withFolder } from "./linux/folder.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "./linux/namespace.ts";
import { callsOf, PROFILE, type Profile, profileOf } from "./syscalls/profile.ts";
import { programOf, type Tracer, trace } from "./syscalls/trace.ts";

/**
 * Calls that a trace may lack: those of the threads that Bun starts for `--help` if there are enough processors, and the
 * wait, which is sigwait(3) where a foreign file is mapped, as under an emulator.
 */
const OPTIONAL = ["clone", "clone3", "sched_yield", "rt_sigsuspend", "rt_sigtimedwait"];

await command(
  "syscalls",
  "Trace the system calls that pause makes; needs strace and qemu-user-static",
  {
    record: { type: "boolean", description: "Write docs/seccomp.json instead of comparing with it" },
  },
  async (args) => {
    const tracersOf = (platform: Platform): Tracer[] => (platform === hostPlatform() ? ["strace", "qemu"] : ["qemu"]);
    for (const platform of PLATFORMS) for (const tracer of tracersOf(platform)) programOf(tracer, platform);
    if (!pidNamespace()) throw new InputError(NO_PID_NAMESPACE);
    const calls: Record<string, string[]> = {};
    await withFolder(tmpdir(), async (folder) => {
      const sources = { origin: await provenance(), supply: { mirror: mirrorAt() } };
      for (const platform of PLATFORMS) {
        progress(`${platform.name}: making the root file system`);
        const root = join(folder, platform.name);
        await writeFolder(root, platform, sources);
        const found = new Set<string>();
        for (const tracer of tracersOf(platform)) {
          progress(`${platform.name}: tracing with ${tracer}`);
          for (const call of await trace(tracer, platform, root, folder)) found.add(call);
        }
        calls[platform.name] = [...found].sort();
      }
    });
    progress("");
    const path = relative(process.cwd(), PROFILE);
    for (const [platform, names] of Object.entries(calls)) console.log(`${platform}: ${names.length} calls`);
    if (args.record) {
      for (const names of Object.values(calls)) names.push(...OPTIONAL.filter((name) => !names.includes(name)));
      await Bun.write(PROFILE, `${JSON.stringify(profileOf(calls), null, 2)}\n`);
      Bun.spawnSync([join(ROOT, "node_modules", ".bin", "biome"), "format", "--write", PROFILE]);
      console.log(`${path}: written`);
      return;
    }
    const recorded = callsOf((await Bun.file(PROFILE).json()) as Profile, Object.keys(calls));
    const wrong = Object.entries(calls).flatMap(([platform, names]) => {
      const known = recorded[platform] ?? [];
      const more = names
        .filter((name) => !known.includes(name))
        .map((name) => `${platform} makes ${name}, which it lacks`);
      const gone = known.filter((name) => !names.includes(name) && !OPTIONAL.includes(name));
      return [...more, ...gone.map((name) => `${platform} does not make ${name}`)];
    });
    if (wrong.length > 0) throw new InputError(`${path}: ${wrong.join("; ")}; npm run syscalls -- --record writes it`);
    console.log(`${path} lists them all`);
  },
);
