/** `npm start`: builds if needed and shows pause at its work, each step with what /proc says of it. */
import { join } from "node:path";
import { compile, isStale, ROOT } from "./compile.ts";
import { NO_PID_NAMESPACE, pidNamespace } from "./namespace.ts";
import { hostPlatform } from "./platforms.ts";
import { childrenOf, isReady, status, until } from "./proc.ts";
import { fail, InputError, progress } from "./report.ts";

/** Prints one step and what was observed. */
function step(what: string, observed: string): void {
  console.log(`${what.padEnd(34)} ${observed}`);
}

/** Runs pause through a pod's life. Throws an InputError where no PID namespace can be had, an Error where anything is not as it should be. */
async function main(): Promise<void> {
  const pause = join(ROOT, "dist", "pause");
  if (isStale(pause)) {
    progress("compiling dist/pause");
    await compile(hostPlatform(), pause);
    progress("");
  }

  const namespace = pidNamespace();
  if (!namespace) throw new InputError(NO_PID_NAMESPACE);
  const unshare = Bun.spawn([...namespace.command, pause], { stdin: "ignore", stdout: "inherit", stderr: "pipe" });
  try {
    const pid = await until(
      "pause to be ready",
      () => childrenOf(unshare.pid).find((child) => isReady(child.pid))?.pid,
    );
    const seen = (field: string) => status(pid)?.[field]?.replaceAll(/\s+/g, " ") ?? "";
    step("pause runs in a PID namespace", `NSpid ${seen("NSpid")} (outside, inside), ${seen("Threads")} thread`);
    step("it sleeps, handlers installed", `State ${seen("State")}, SigBlk ${seen("SigBlk")}, SigCgt ${seen("SigCgt")}`);
    step("it weighs", `RssAnon ${seen("RssAnon")}, RssFile ${seen("RssFile")}`);

    await Bun.spawn([...namespace.enter(pid), "sh", "-c", "sleep 300 &"]).exited;
    const orphan = await until("the orphan", () => childrenOf(pid)[0]);
    step("an orphan is made", `PID ${orphan.pid}, PPid ${status(orphan.pid)?.["PPid"]}, State ${orphan.state}`);
    process.kill(orphan.pid, "SIGKILL");
    await until("the orphan to be reaped", () => childrenOf(pid).length === 0);
    step("the orphan dies and is reaped", "no child left, no zombie");
    step(
      "still asleep",
      `State ${seen("State")}, ${seen("voluntary_ctxt_switches")} voluntary context switches so far`,
    );

    process.kill(pid, "SIGTERM");
    const exit = await unshare.exited;
    step("SIGTERM", `exit ${exit}, "${(await unshare.stderr.text()).trim()}"`);
    if (exit !== 0) throw new Error(`pause ended with status ${exit}`);
  } finally {
    unshare.kill("SIGKILL");
  }
}

await main().catch(fail);
