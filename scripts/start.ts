/** `npm start`: builds if needed and shows pause at work, each step with what /proc says about it. */
import { command } from "./command/command.ts";
import { built } from "./executable/compile.ts";
import { NO_PID_NAMESPACE, type PidNamespace, pidNamespace } from "./linux/namespace.ts";
import { childrenOf, isReady, status, until } from "./linux/proc.ts";

function step(what: string, observed: string): void {
  console.log(`${what.padEnd(34)} ${observed}`);
}

/** Makes an orphan in the PID namespace of `pid`, ends it, and shows that it is reaped. */
async function showReaping(namespace: PidNamespace, pid: number): Promise<void> {
  await Bun.spawn([...namespace.enter(pid), "sh", "-c", "sleep 300 &"]).exited;
  const orphan = await until("the orphan", () => childrenOf(pid)[0]);
  step("an orphan is made", `PID ${orphan.pid}, PPid ${status(orphan.pid)?.["PPid"]}, State ${orphan.state}`);
  process.kill(orphan.pid, "SIGKILL");
  await until("the orphan to be reaped", () => childrenOf(pid).length === 0);
  step("the orphan dies and is reaped", "no child left, no zombie");
}

/**
 * Takes pause through the lifetime of a pod: as PID 1 if a PID namespace can be made, otherwise as an ordinary process,
 * which shows less. Throws if anything is not as it should be.
 */
async function show(): Promise<void> {
  const pause = await built();
  const namespace = pidNamespace();
  const command = [...(namespace?.command ?? []), pause];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "inherit", stderr: "pipe" });
  try {
    const pid = await until("pause to be ready", () => {
      if (child.exitCode !== null) throw new Error(`pause ended with status ${child.exitCode} before it was ready`);
      const candidates = namespace ? childrenOf(child.pid).map((one) => one.pid) : [child.pid];
      return candidates.find(isReady);
    });
    const seen = (field: string) => status(pid)?.[field]?.replaceAll(/\s+/g, " ") ?? "";
    if (namespace) {
      step("pause runs in a PID namespace", `NSpid ${seen("NSpid")} (outside, inside), ${seen("Threads")} thread`);
    } else step("pause runs as an ordinary process", `Pid ${seen("Pid")}, ${seen("Threads")} thread`);
    step("it sleeps, handlers installed", `State ${seen("State")}, SigBlk ${seen("SigBlk")}, SigCgt ${seen("SigCgt")}`);
    step("it weighs", `RssAnon ${seen("RssAnon")}, RssFile ${seen("RssFile")}`);
    if (namespace) await showReaping(namespace, pid);
    await until("pause to sleep again", () => isReady(pid));
    step(
      "still asleep",
      `State ${seen("State")}, ${seen("voluntary_ctxt_switches")} voluntary context switches so far`,
    );
    process.kill(pid, "SIGTERM");
    const exit = await child.exited;
    step("SIGTERM", `exit ${exit}, "${(await child.stderr.text()).trim().replaceAll("\n", "; ")}"`);
    if (exit !== 0) throw new Error(`pause ended with status ${exit}`);
    if (!namespace) console.log(`Not shown, PID 1 and how it reaps: ${NO_PID_NAMESPACE}.`);
  } finally {
    child.kill("SIGKILL");
  }
}

await command("start", "Build if needed, and show pause at work", {}, show);
