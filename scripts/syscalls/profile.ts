/** The seccomp profile in docs/: which calls it allows, and for whom. */
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
 * no_new_privs the filter comes before the change of user. test/engines/seccomp runs them with it.
 */
const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  runc: ["fstat", "fstatfs", "getdents64", "statx"],
  "runc and crun without no_new_privs": [
    ...["capget", "capset", "chdir", "getcwd", "getppid", "setgid", "setgroups", "setresgid", "setresuid", "setuid"],
  ],
};

/** The profile that allows `calls` and those that runtimes need besides: each call once, with who makes it. */
export function profileOf(calls: Calls): Profile {
  const platforms = Object.keys(calls);
  const makers = new Map<string, string[]>();
  for (const platform of platforms) {
    for (const call of calls[platform] ?? []) makers.set(call, [...(makers.get(call) ?? []), platform]);
  }
  const groups = new Map<string, string[]>();
  for (const [call, by] of [...makers].sort()) groups.set(`${by}`, [...(groups.get(`${by}`) ?? []), call]);
  for (const [runtime, names] of Object.entries(RUNTIMES)) {
    groups.set(
      runtime,
      names.filter((name) => !makers.has(name)),
    );
  }
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    syscalls: [...groups].map(([comment, names]) => ({ comment, names, action: "SCMP_ACT_ALLOW" })),
  };
}

/** The calls of each platform of `platforms` that a profile made by `profileOf` allows. */
export function callsOf({ syscalls }: Profile, platforms: readonly string[]): Calls {
  return Object.fromEntries(
    platforms.map((platform) => [
      platform,
      syscalls
        .filter(({ comment }) => comment.split(",").includes(platform))
        .flatMap(({ names }) => names)
        .sort(),
    ]),
  );
}
