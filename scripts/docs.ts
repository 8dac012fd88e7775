/** Part of `npm run check`: every command and file that the documents name exists, and the README is short. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Glob } from "bun";
import pkg from "../package.json";
import { ROOT } from "./command/project.ts";
import { fail, InputError } from "./command/report.ts";

/** The documents. CHANGELOG.md is not among them: it describes the past. */
const DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md"];

/** The most words that the README may have, as wc(1) counts them. */
const README_WORDS = 900;

/** npm's commands that run a script of the same name. */
const SHORT = ["test", "start"];

/** A command that runs a script of package.json: `npm run NAME` or one of SHORT. */
const COMMAND = new RegExp(`\\bnpm (?:run (?:--?[a-z]+ )*([a-z][a-z:-]*)|(${SHORT.join("|")})\\b)`, "g");

/** The arguments passed on to a script of package.json, up to the end of the line or of the quotation. */
const HANDED_ON = /\bnpm run ([a-z][a-z:-]*) -- ([^`#&|\n]*)/g;

/** A whole path within the project: not the end of a URL, and without a sentence's full stop. */
const PATH = /(?<![\w/.@-])(?:scripts|src|test|docs|\.ci|\.github)\/(?:[\w.-]*\w\/?)*/g;

/** The image that an HTML element shows, which the link checker does not look at. */
const PICTURE = /\b(?:src|srcset)="([^"]*)"/g;

/** The help of each script that is one of our commands. */
const helps = new Map<string, string>();
for (const [name, script] of Object.entries(pkg.scripts)) {
  const [, path] = /^bun (scripts\/\w+\.ts)$/.exec(script) ?? [];
  if (path) helps.set(name, Bun.spawnSync([process.execPath, join(ROOT, path), "--help"]).stdout.toString());
}

/** The mistakes in the document `name`, one line each. */
function wrong(name: string): string[] {
  const text = readFileSync(join(ROOT, name), "utf8");
  const found: string[] = [];
  for (const [command, long, short] of text.matchAll(COMMAND)) {
    if (!((long ?? short ?? "") in pkg.scripts)) found.push(`${name}: package.json has no script for "${command}"`);
  }
  for (const [, command = "", words = ""] of text.matchAll(HANDED_ON)) {
    const help = helps.get(command);
    for (const [option] of words.matchAll(/(?<!\S)--[a-z][a-z0-9-]*/g)) {
      if (help !== undefined && !new RegExp(`${option}(?![\\w-])`).test(help)) {
        found.push(`${name}: npm run ${command} has no option ${option}`);
      }
    }
  }
  for (const [path] of text.matchAll(PATH)) {
    if (!existsSync(join(ROOT, path))) found.push(`${name}: there is no ${path}`);
  }
  for (const [, path = ""] of text.matchAll(PICTURE)) {
    if (!existsSync(join(ROOT, dirname(name), path))) found.push(`${name}: there is no picture ${path}`);
  }
  const words = text.split(/\s+/).filter(Boolean).length;
  if (name === "README.md" && words > README_WORDS) {
    found.push(`${name}: ${words} words, at most ${README_WORDS}`);
  }
  return found;
}

const found = DOCUMENTS.flatMap((pattern) => [...new Glob(pattern).scanSync({ cwd: ROOT })].sort()).flatMap(wrong);
if (found.length > 0) fail(new InputError(found.join("; ")));
