/** The plan of a soak: what happens next, drawn from a seed. */
import { createHash } from "node:crypto";
import { childrenOf, until } from "../linux/proc.ts";
import { HARMLESS, HARMLESS_INSIDE, SIGCONT, SIGKILL, SIGSTOP } from "../linux/signals.ts";
import type { Pod } from "./pod.ts";

/** Draws a whole number from 0 to `below` - 1. */
type Draw = (below: number) => number;

/**
 * An endless sequence of numbers that a text decides: SHA-256 of it and a counter, which is even enough and the same
 * everywhere.
 */
function drawsOf(seed: string): Draw {
  let count = 0;
  return (below) => createHash("sha256").update(`${seed} ${count++}`).digest().readUInt32LE() % below;
}

/** Something that happens to a pod. */
interface Disturbance {
  readonly name: string;
  /** The reason that it is not possible with this pod, or undefined if it is. */
  missing?(pod: Pod): string | undefined;
  /** Does it; all randomness comes from `draw`. Returns the number of orphans made. */
  disturb(pod: Pod, draw: Draw): Promise<number>;
}

function shuffled<T>(items: readonly T[], draw: Draw): T[] {
  const rest = [...items];
  return items.map(() => rest.splice(draw(rest.length), 1)[0] as T);
}

async function storm(pod: Pod, draw: Draw, most: number): Promise<number> {
  const count = 1 + draw(most);
  await pod.storm(count, 1 + draw(Math.min(count, 500)));
  return count;
}

/** Runs a storm while the pod is held, and releases it with `resume` at most 300 ms later. */
async function stormWhileHeld(pod: Pod, draw: Draw, resume: () => void): Promise<number> {
  const storming = storm(pod, draw, 500);
  await Bun.sleep(draw(300));
  resume();
  return storming;
}

/** All disturbances. */
export const DISTURBANCES: readonly Disturbance[] = [
  { name: "orphans", disturb: (pod, draw) => storm(pod, draw, 5000) },
  {
    name: "stopped children",
    async disturb(pod, draw) {
      const count = 1 + draw(5);
      await pod.inside("for i in $(seq $1); do sleep 1000 >/dev/null 2>&1 & done", `${count}`);
      const children = await until("the children", () => {
        const found = childrenOf(pod.pid);
        return found.length === count && found;
      });
      for (let round = 0; round < 10; round++) {
        const child = children[draw(count)];
        if (child) process.kill(child.pid, draw(2) ? SIGSTOP : SIGCONT);
      }
      if (childrenOf(pod.pid).length !== count) throw new Error("a living child is gone");
      for (const { pid } of children) process.kill(pid, SIGKILL);
      return count;
    },
  },
  {
    name: "signals from inside",
    async disturb(pod, draw) {
      const signals = shuffled(HARMLESS_INSIDE, draw).filter((n) => n !== SIGSTOP || !pod.traced);
      await pod.inside('for n; do kill -"$n" 1; done', ...signals.map(String));
      return 0;
    },
  },
  {
    name: "signals from outside",
    async disturb(pod, draw) {
      for (const n of shuffled(HARMLESS, draw)) process.kill(pod.pid, n);
      return 0;
    },
  },
  {
    name: "PID 1 stopped",
    async disturb(pod, draw) {
      process.kill(pod.pid, SIGSTOP);
      return stormWhileHeld(pod, draw, () => process.kill(pod.pid, SIGCONT));
    },
  },
  {
    name: "cgroup frozen",
    missing: (pod) => (pod.freezer ? undefined : "no freezer cgroup can be made"),
    async disturb(pod, draw) {
      await pod.freezer?.freeze();
      return stormWhileHeld(pod, draw, () => pod.freezer?.thaw());
    },
  },
  {
    name: "no memory",
    missing: (pod) => (pod.memory ? undefined : "no memory cgroup can be made"),
    async disturb(pod, draw) {
      const { memory } = pod;
      if (!memory) return 0;
      memory.squeeze();
      const orphans = await storm(pod, draw, 500);
      // Another process in the cgroup asks for more than is left, and is killed.
      memory.limit(memory.usage() + 8 * 2 ** 20);
      const greed = 'echo $$ >"$0"; exec dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null';
      const { signalCode } = Bun.spawnSync(["sh", "-c", greed, memory.procs]);
      if (signalCode !== "SIGKILL") throw new Error("the memory limit did not work");
      memory.limit(Infinity);
      return orphans;
    },
  },
];

/** The disturbance of step `step` of the plan of `seed`, and the draws for its details. */
export function planned(seed: number, step: number, among: readonly Disturbance[]): [Disturbance, Draw] {
  const draw = drawsOf(`${seed} ${step}`);
  return [among[draw(among.length)] as Disturbance, draw];
}
