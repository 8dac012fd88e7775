/** The system calls that docs/seccomp.json allows. */
import { readFileSync } from "node:fs";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { callsOf, PROFILE, type Profile } from "../../scripts/syscalls/profile.ts";

/** The profile as it lies in docs/. */
export const profile = JSON.parse(readFileSync(PROFILE, "utf8")) as Profile;

/** The calls that pause itself makes on this machine's platform, by the profile. */
export const calls: readonly string[] = callsOf(profile, [hostPlatform().name])[hostPlatform().name] ?? [];
