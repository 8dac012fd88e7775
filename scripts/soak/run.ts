/** One soak: disturbs a PID 1 for some time and checks that it is unharmed. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError, messageOf, progress } from "../command/report.ts";
import { withFolder } from "../linux/folder.ts";
import { childrenOf, contextSwitches, isReady, status, until } from "../linux/proc.ts";
import { DISTURBANCES, planned } from "./disturbances.ts";
import { type Pod, startPod } from "./pod.ts";
import { type Calls, callsAfterLock, tracing } from "./trace.ts";

/** The extent of a soak. */
export interface Soak {
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

/** The result of a soak in which nothing was wrong. */
export interface Summary {
  readonly orphans: number;
  readonly steps: number;
  /** The number of times that each disturbance came, or the reason that it never did. */
  readonly disturbances: Readonly<Record<string, number | string>>;
  /** RssAnon when it was ready and at the end, in kB. */
  readonly rssAnon: readonly [before: number, after: number];
  /** If traced: the calls it made from the moment it locked itself until its end. */
  readonly calls: Calls | undefined;
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
  for (let left = seconds; left > 0; left -= 1) {
    progress(`at rest, ${left.toFixed(0)} s are left`);
    await Bun.sleep(Math.min(left, 1) * 1000);
  }
  const more = contextSwitches(pod.pid) - before;
  if (more > 0) throw new Error(`it was woken: ${more} context switches`);
}

/**
 * Soaks `program`. Throws an InputError that names seed and step if anything is not as it should be: a child that is
 * not reaped, a second thread, memory grown, another end than exit status 0 with the right words.
 */
export function soak({ program, seed, seconds, orphans: wanted, rest, trace }: Soak): Promise<Summary> {
  return withFolder(tmpdir(), async (folder) => {
    const log = join(folder, "calls");
    const pod = await startPod(program, trace ? tracing(log) : []);
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
