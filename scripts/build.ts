/** `npm run build`: writes dist/pause for this machine, or dist/NAME/pause with `-- --platform linux/ARCHITECTURE`. */
import { stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { command } from "./command/command.ts";
import { DIST } from "./command/project.ts";
import { InputError, progress } from "./command/report.ts";
import { compile, isStale } from "./executable/compile.ts";
import { hostPlatform, platformNamed } from "./executable/platforms.ts";

const OPTIONS = {
  platform: { type: "string", description: "linux/amd64 or linux/arm64 (default: this machine)" },
  target: { type: "string", description: "The former name of --platform" },
  "if-stale": { type: "boolean", description: "Do nothing if the executable is newer than its sources" },
} as const;

await command("build", "Compile src/ into one executable", OPTIONS, async (args) => {
  if (args.platform !== undefined && args.target !== undefined)
    throw new InputError("--platform or --target, not both");
  const wanted = args.platform ?? args.target;
  const platform = wanted === undefined ? hostPlatform() : platformNamed(wanted);
  const path = join(DIST, wanted === undefined ? "" : platform.name, "pause");
  if (args["if-stale"] && !isStale(path)) return;
  progress(`compiling for ${platform.id}`);
  await compile(platform, path);
  progress("");
  console.log(`${relative(process.cwd(), path)}: ${(await stat(path)).size} bytes`);
});
