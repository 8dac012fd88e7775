/** `npm run bun`: pins another release of Bun, or compares releases. If anything fails, nothing has changed. */
import { join } from "node:path";
import { markdownTable } from "markdown-table";
import { prepare, refuseUnfit, releaseNamed, replace } from "./bun/release.ts";
import { rowOf } from "./bun/table.ts";
import { command } from "./command/command.ts";
import { DIST } from "./command/project.ts";
import { InputError } from "./command/report.ts";
import { withFolder } from "./linux/folder.ts";

await command(
  "bun",
  "Pin a release of Bun, if both platforms' executables can be built with it",
  {
    release: { type: "positional", required: false, description: "For example 1.4.5 (default: the newest)" },
    table: { type: "string", description: "Compare these releases, instead: 1.4.4,1.4.5; as root" },
  },
  async (args) => {
    if (args.release !== undefined && args.table !== undefined) throw new InputError("a release or --table, not both");
    await refuseUnfit();
    const names = (args.table ?? args.release ?? "latest").split(",");
    const releases: string[] = [];
    for (const name of names) releases.push(await releaseNamed(name));
    const rows: Record<string, string>[] = [];
    for (const release of releases) {
      await withFolder(DIST, async (folder) => {
        const project = join(folder, "project");
        const printed = await prepare(release, project);
        if (args.table === undefined) {
          await replace(project, release);
          console.log(
            `${printed}Bun ${release} is pinned and installed. Next: CONTRIBUTING.md, "How to move to a new Bun"`,
          );
        } else rows.push(await rowOf(release, project));
      });
    }
    const [first] = rows;
    if (first) console.log(markdownTable([Object.keys(first), ...rows.map(Object.values<string>)], { align: "r" }));
  },
);
