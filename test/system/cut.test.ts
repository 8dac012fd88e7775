/** The cut of the other platforms' executables, for which Bun has to be fetched. */
import { hostPlatform, PLATFORMS } from "../../scripts/executable/platforms.ts";
import { testCut } from "../support/cut.ts";

for (const platform of PLATFORMS) if (platform !== hostPlatform()) testCut(platform);
