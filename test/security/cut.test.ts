/** The cut of this machine's executable. */
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { testCut } from "../support/cut.ts";

testCut(hostPlatform());
