/** What pause is seen to do where cgroup v2 is the only hierarchy: the words between the virtual machine and the test. */

/** The engines that start pause in the machine: a runtime alone, and containerd as a kubelet's with each runtime. */
export const ENGINES = ["runc", "crun", "containerd with runc", "containerd with crun"] as const;
export type EngineName = (typeof ENGINES)[number];

/** Whose image. */
export const SIDES = ["ours", "reference"] as const;
export type Side = (typeof SIDES)[number];

/** Orphans that end while pause is frozen. */
export const FROZEN_ORPHANS = 10;

/** Orphans of the storm, and how many of them die at once. */
export const STORM = { orphans: 1000, burst: 50 } as const;

/** What is looked at with each engine and each image. */
export const CASES = ["rest", "freeze", "kill", "storm", "stop", "limit"] as const;
export type Case = (typeof CASES)[number];

/** The limit on memory of the case `limit`, in bytes. */
export const LIMIT = 16 * 1024 * 1024;

/** Smaller limits, in MiB, tried one after another until pause does not live under one any more. */
export const SMALLER = [12, 8, 6, 5, 4, 3, 2, 1] as const;

/** What was seen, or `error` with a message; what was measured of it lies in `figures`. */
export type Observation = Readonly<Record<string, unknown>>;

/** The key of the console's line with the observation as JSON. */
export function keyOf(engine: EngineName, side: Side, name: Case): string {
  return [engine, side, name].join("_").replaceAll(" ", "_");
}

/** Whether a case is looked at with an engine: only a runtime alone starts pause under a memory limit. */
export function takes(engine: EngineName, name: Case): boolean {
  return name !== "limit" || engine === "runc" || engine === "crun";
}
