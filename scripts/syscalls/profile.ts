/** The seccomp profile in docs/: the calls that it allows, and their callers. */
import { join } from "node:path";
import { ROOT } from "../command/project.ts";

/** Path of the profile. */
export const PROFILE: string = join(ROOT, "docs", "seccomp.json");

/** The calls that pause makes on each platform, by the platform's name. */
export type Calls = Readonly<Record<string, readonly string[]>>;

/** A profile as Docker, containerd, podman and the OCI runtimes read it: the fields used here. */
export interface Profile {
  readonly defaultAction: "SCMP_ACT_ERRNO";
  /** These and no others: calls in the processor's other modes are refused. */
  readonly architectures: readonly string[];
  readonly syscalls: readonly {
    /** The callers; for human readers only. */
    readonly comment: string;
    readonly names: readonly string[];
    readonly action: "SCMP_ACT_ALLOW";
  }[];
}

/**
 * The calls that runc 1.1 and 1.3 and crun 1.8 and 1.28 need between installing their filter and starting pause. Without
 * no_new_privs the filter comes before the change of user. test/engines/pods runs them with it.
 */
const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  runc: ["fstat", "fstatfs", "getdents64", "statx"],
  "runc and crun without no_new_privs": [
    ...["capget", "capset", "chdir", "getcwd", "getppid", "setgid", "setgroups", "setresgid", "setresuid", "setuid"],
  ],
};

/** The profile that allows `calls` and those that runtimes need besides: each call once, with its callers. */
export function profileOf(calls: Calls): Profile {
  const all = [...new Set(Object.values(calls).flat())].sort();
  const callers = (call: string) => Object.keys(calls).filter((platform) => calls[platform]?.includes(call));
  const groups = [...Map.groupBy(all, (call) => callers(call).join(","))];
  const others = Object.entries(RUNTIMES).map(([runtime, names]): [string, string[]] => [
    runtime,
    names.filter((name) => !all.includes(name)),
  ]);
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    syscalls: [...groups, ...others].map(([comment, names]) => ({ comment, names, action: "SCMP_ACT_ALLOW" })),
  };
}

/** The calls of each platform of `platforms` that a profile made by `profileOf` allows. */
export function callsOf({ syscalls }: Profile, platforms: readonly string[]): Calls {
  const of = (platform: string) => syscalls.filter(({ comment }) => comment.split(",").includes(platform));
  return Object.fromEntries(platforms.map((it) => [it, of(it).flatMap(({ names }) => names.toSorted())]));
}
