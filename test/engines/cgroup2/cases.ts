/** The cases with cgroup v2 as the only hierarchy: the vocabulary shared by the virtual machine and the test. */

/** The engines that start pause in the machine: each runtime alone, and containerd with each runtime. */
export const ENGINES = ["runc", "crun", "containerd with runc", "containerd with crun"] as const;
export type EngineName = (typeof ENGINES)[number];

/** Whose image. */
export const SIDES = ["ours", "reference"] as const;
export type Side = (typeof SIDES)[number];

/** Orphans that end while pause is frozen. */
export const FROZEN_ORPHANS = 10;

/** Orphans of the storm, and how many of them die together. */
export const STORM = { orphans: 1000, burst: 50 } as const;

/** The cases, run with each engine and each image. */
export const CASES = ["rest", "freeze", "kill", "storm", "stop", "limit"] as const;
export type Case = (typeof CASES)[number];

/** The memory limit of the case `limit`, in bytes. */
export const LIMIT = 16 * 1024 * 1024;

/** Smaller limits, in MiB, tried one after another until pause no longer runs under one. */
export const SMALLER = [12, 8, 6, 5, 4, 3, 2, 1] as const;

/** What was observed, or `error` with a message; measurements are in `figures`. */
export type Observation = Readonly<Record<string, unknown>>;

/** The key of the console's line with the observation as JSON. */
export function keyOf(engine: EngineName, side: Side, name: Case): string {
  return [engine, side, name].join("_").replaceAll(" ", "_");
}

/** Whether a case is run with an engine: only a runtime alone starts pause under a memory limit. */
export function takes(engine: EngineName, name: Case): boolean {
  return name !== "limit" || engine === "runc" || engine === "crun";
}
