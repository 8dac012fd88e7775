/** `npm run build`: writes dist/pause for this machine, or dist/NAME/pause with `-- --target NAME`. */
import { stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { compile, isStale } from "./build/compile.ts";
import { hostPlatform, platformNamed } from "./build/platforms.ts";
import { command } from "./command/command.ts";
import { ROOT } from "./command/project.ts";
import { progress } from "./command/report.ts";

/** The options, as citty shows them. */
const OPTIONS = {
  target: { type: "string", description: "linux-amd64 or linux-arm64 (default: this machine)" },
  "if-stale": { type: "boolean", description: "Do nothing if the executable is newer than its sources" },
} as const;

await command("build", "Compile src/ into one executable", OPTIONS, async (args) => {
  const platform = args.target === undefined ? hostPlatform() : platformNamed(args.target);
  const path = join(ROOT, "dist", args.target === undefined ? "" : platform.name, "pause");
  if (args["if-stale"] && !isStale(path)) return;
  progress(`compiling for ${platform.name}`);
  await compile(platform, path);
  progress("");
  console.log(`${relative(process.cwd(), path)}: ${(await stat(path)).size} bytes`);
});
