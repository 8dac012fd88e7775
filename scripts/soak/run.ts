/** One soak: disturbs a PID 1 for some time and looks at what is left of it. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError, messageOf, progress } from "../command/report.ts";
import { withFolder } from "../linux/folder.ts";
import { childrenOf, contextSwitches, isReady, status, until } from "../linux/proc.ts";
import { DISTURBANCES, planned } from "./disturbances.ts";
import { type Pod, startPod } from "./pod.ts";
import { type Calls, callsAfterLock, tracing } from "./trace.ts";

/** What to do. */
export interface Soak {
  readonly program: string;
  /** Decides what happens in which order; how long each thing takes is the machine's business. */
  readonly seed: number;
  readonly seconds: number;
  /** Orphans to make at the least. */
  readonly orphans: number;
  /** Seconds it is left alone, when half the time of the disturbances is over. */
  readonly rest: number;
  /** Whether every call it makes is traced, which slows it down. */
  readonly trace: boolean;
  /** Whether the machine's wall clock is moved to and fro. */
  readonly clock: boolean;
}

/** What happened. */
export interface Summary {
  readonly orphans: number;
  readonly steps: number;
  /** How often each disturbance came, or why it never did. */
  readonly disturbances: Readonly<Record<string, number | string>>;
  /** RssAnon when it was ready and at the end, in kB. */
  readonly rssAnon: readonly [before: number, after: number];
  /** If traced: the calls it made from the moment it locked itself until its end. */
  readonly calls: Calls | undefined;
}

/** By how much RssAnon may have grown in the end, in kB. */
const GROWTH = 64;

const rssAnon = (pod: Pod): number => Number.parseInt(status(pod.pid)?.["RssAnon"] ?? "", 10);

/** What `step` gives; throws if that takes longer than any step should. */
async function inTime<T>(step: Promise<T>): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("not over after 60 s")), 60_000);
  });
  return Promise.race([step, late]).finally(() => clearTimeout(timer));
}

/** Throws if PID 1 is not what it was: asleep and ready, one thread, no child left, dead or alive. */
async function unharmed(pod: Pod): Promise<void> {
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
export async function soak(wanted: Soak): Promise<Summary> {
  if (!wanted.trace) return disturbed(wanted, undefined);
  return withFolder(tmpdir(), (folder) => disturbed(wanted, join(folder, "calls")));
}

/** Soaks a program; with a `log`, every call is written to it. */
async function disturbed({ program, seed, seconds, orphans: wanted, rest, clock }: Soak, log: string | undefined) {
  const pod = await startPod(program, log === undefined ? [] : tracing(log), clock);
  let [step, doing] = [0, "the start"];
  try {
    const before = rssAnon(pod);
    const possible = DISTURBANCES.filter((it) => !it.missing?.(pod));
    const counts = new Map<string, number | string>(
      DISTURBANCES.map((it) => [it.name, it.missing ? (it.missing(pod) ?? 0) : 0]),
    );
    let start = performance.now();
    let [orphans, halfway] = [0, false];
    const elapsed = () => (performance.now() - start) / 1000;
    while (elapsed() < seconds || orphans < wanted) {
      // Time is up: only orphans are still wanted.
      const [disturbance, draw] = planned(seed, ++step, elapsed() < seconds ? possible : possible.slice(0, 1));
      doing = disturbance.name;
      progress(`${elapsed().toFixed(0)} of ${seconds} s, ${orphans} of ${wanted} orphans, ${doing}`);
      orphans += await inTime(disturbance.disturb(pod, draw));
      counts.set(doing, Number(counts.get(doing)) + 1);
      await unharmed(pod);
      if (!halfway && elapsed() > seconds / 2) {
        doing = "disk lost";
        await pod.loseDisk();
        halfway = true;
        doing = "at rest";
        const before = performance.now();
        await leaveAlone(pod, rest);
        start += performance.now() - before;
      }
    }
    doing = "the end";
    const after = rssAnon(pod);
    if (after - before > GROWTH) throw new Error(`RssAnon has grown from ${before} to ${after} kB`);
    const { exit, stderr } = await pod.end();
    if (exit !== 0 || stderr !== "Shutting down, got signal: Terminated\n") {
      throw new Error(`SIGTERM ended it with ${exit} and ${JSON.stringify(stderr)}`);
    }
    return {
      orphans,
      steps: step,
      disturbances: { ...Object.fromEntries(counts), "disk lost": Number(halfway) },
      rssAnon: [before, after] as const,
      calls: log === undefined ? undefined : await callsAfterLock(log, pod.pid),
    };
  } catch (error) {
    throw new InputError(`seed ${seed}, step ${step}, ${doing}: ${messageOf(error)}`);
  } finally {
    progress("");
    await pod.dispose();
  }
}
