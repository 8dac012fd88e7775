/** One soak: disturbs a PID 1 for some time and checks that it is unharmed. */
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError, messageOf, progress, withProgress } from "../command/report.ts";
import { withFolder } from "../linux/folder.ts";
import { childrenOf, contextSwitches, isReady, status, until } from "../linux/proc.ts";
import { DISTURBANCES, planned } from "./disturbances.ts";
import { type Pod, startPod } from "./pod.ts";
import { callsAfterLock, tracing } from "./trace.ts";

/** The extent of a soak. */
interface Soak {
  readonly program: string;
  /** Decides what happens in which order; how long each thing takes is the machine's business. */
  readonly seed: number;
  readonly seconds: number;
  /** Orphans to make at the least. */
  readonly orphans: number;
  /** Seconds it is left alone, when half the time of the disturbances is over. */
  readonly rest: number;
  /** True to trace every call it makes, which slows it down. */
  readonly trace: boolean;
}

/** The most that RssAnon may grow, in kB. */
const GROWTH = 64;

/** Throws unless PID 1 is as before: asleep and ready, one thread, no child left, dead or alive. */
async function expectUnharmed(pod: Pod): Promise<void> {
  const left = () => childrenOf(pod.pid);
  if (!status(pod.pid)) throw new Error("PID 1 has ended");
  await until(`its ${left().length} children to be reaped`, () => left().length === 0);
  await until("PID 1 to sleep again", () => isReady(pod.pid));
  const threads = status(pod.pid)?.["Threads"];
  if (threads !== "1") throw new Error(`${threads} threads`);
}

/** Leaves it alone for `seconds`. Throws if it was woken. */
async function leaveAlone(pod: Pod, seconds: number): Promise<void> {
  const before = contextSwitches(pod.pid);
  await withProgress(`at rest for ${seconds} s`, Bun.sleep(seconds * 1000));
  const more = contextSwitches(pod.pid) - before;
  if (more > 0) throw new Error(`it was woken: ${more} context switches`);
}

/**
 * Soaks `program`. Returns the numbers of orphans and of steps; of each disturbance how many times it came, or the reason
 * that it never did; RssAnon when it was ready and at the end, in kB; and if traced, the calls it made from the moment it
 * locked itself until its end.
 *
 * Throws an InputError that names seed and step if anything is not as it should be: a child that is not reaped, a second
 * thread, memory grown, another end than exit status 0 with the right words.
 */
export function soak({ program, seed, seconds, orphans: wanted, rest, trace }: Soak) {
  return withFolder(tmpdir(), async (folder) => {
    const [log, disk] = [join(folder, "calls"), join(folder, "disk")];
    await mkdir(disk);
    const pod = await startPod(program, disk, trace ? tracing(log) : []);
    const rssAnon = () => Number.parseInt(status(pod.pid)?.["RssAnon"] ?? "", 10);
    let [step, doing] = [0, "the start"];
    try {
      const before = rssAnon();
      const possible = DISTURBANCES.filter((it) => !it.missing?.(pod));
      const counts: Record<string, number | string> = {};
      for (const it of DISTURBANCES) counts[it.name] = it.missing?.(pod) ?? 0;
      let start = performance.now();
      let [orphans, halfway] = [0, false];
      const elapsed = () => (performance.now() - start) / 1000;
      while (elapsed() < seconds || orphans < wanted) {
        // Time is up: only orphans are still wanted.
        const [disturbance, draw] = planned(seed, ++step, elapsed() < seconds ? possible : possible.slice(0, 1));
        doing = disturbance.name;
        progress(`${elapsed().toFixed(0)} of ${seconds} s, ${orphans} of ${wanted} orphans, ${doing}`);
        orphans += await disturbance.disturb(pod, draw);
        counts[doing] = Number(counts[doing]) + 1;
        await expectUnharmed(pod);
        if (halfway || elapsed() <= seconds / 2) continue;
        halfway = true;
        doing = "disk lost, at rest";
        await pod.loseDisk();
        const paused = performance.now();
        await leaveAlone(pod, rest);
        start += performance.now() - paused;
      }
      doing = "the end";
      const after = rssAnon();
      if (after - before > GROWTH) throw new Error(`RssAnon has grown from ${before} to ${after} kB`);
      const { exit, stderr } = await pod.end();
      if (exit !== 0 || stderr !== "Shutting down, got signal: Terminated\n") {
        throw new Error(`SIGTERM ended it with ${exit} and ${JSON.stringify(stderr)}`);
      }
      const calls = trace ? await callsAfterLock(log, pod.pid) : undefined;
      return { orphans, steps: step, disturbances: counts, rssAnon: [before, after], calls };
    } catch (error) {
      throw new InputError(`seed ${seed}, step ${step}, ${doing}: ${messageOf(error)}`);
    } finally {
      progress("");
      await pod.dispose();
    }
  });
}
