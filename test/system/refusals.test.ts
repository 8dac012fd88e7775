/**
 * Which system calls pause does without: each is refused alone, with EPERM and with ENOSYS, to PID 1 with the image's
 * files, and beside it to the static C reference. docs/seccomp.md has the result as a table;
 * `PAUSE_RECORD=1 bun test test/system/refusals.test.ts` writes it.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { markdownTable } from "markdown-table";
import { ROOT } from "../../scripts/command/project.ts";
import { hostPlatform, PLATFORMS } from "../../scripts/executable/platforms.ts";
import { childrenOf, isReady, status, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { compileStatic, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { callsOf } from "../../scripts/syscalls/profile.ts";
import { numberOf } from "../support/calls.ts";
import type { Launch } from "../support/launch.ts";
import { TERMINATED } from "../support/output.ts";
import { calls, profile } from "../support/profile.ts";
import { image } from "../support/project.ts";
import { NEEDS_PID_ONE, NEEDS_ROOT, testIf } from "../support/skip.ts";
import { settled, start } from "../support/subject.ts";

const DOCUMENT = join(ROOT, "docs", "seccomp.md");
/** The table stands between these lines of the document. */
const [BEGIN, END] = ["<!-- refusals: begin -->", "<!-- refusals: end -->"];

const [EPERM, ENOSYS] = [1, 38];

/** Calls that a test cannot refuse: the launcher's own last one. */
const NOT_REFUSED = ["execve"];

/** The smallest list with which pause runs as it should: found by leaving out one call after another. */
const SMALLEST = "It runs, locked, with these alone:";

const NEEDS_REFERENCE = compileStatic() ? undefined : NO_REFERENCE;
const missing = NEEDS_PID_ONE ?? NEEDS_ROOT ?? NEEDS_REFERENCE;

let folder = "";
let root = "";

/** What became of a start: what differs from one that nothing was refused to. */
interface Verdict {
  readonly what: string;
  /** The first line on standard error, if it is not the usual one. */
  readonly said: string;
}

const RUNS = "runs";

/** How long a child that died may be seen before it counts as not reaped, in seconds. */
const LONGEST_DEATH = 5;

/** Starts PID 1 under a filter, has a child of it die, ends it with SIGTERM, and tells what happened. */
async function verdict(program: "ours" | "reference", filter: Partial<Launch>): Promise<Verdict> {
  const spec =
    program === "ours" ? { program: "/pause", rootFolder: root } : { program: compileStatic() ?? "", rootFolder: "/" };
  const mounts = `mount -t proc proc ${root}/proc; mount --rbind /dev ${root}/dev`;
  const subject = await start({ ...spec, ...filter }, { pidOne: true, before: `sleep 1000 & ${mounts}` });
  const alive = () => !["Z", undefined].includes(status(subject.pid)?.["State"]?.[0]);
  const ready = await until("it to sleep or to end", () => (isReady(subject.pid) ? "ready" : !alive() && "ended"));
  let reaped = true;
  if (ready === "ready") {
    for (const { pid } of childrenOf(subject.pid)) process.kill(pid, "SIGKILL");
    const gone = () => !alive() || childrenOf(subject.pid).length === 0;
    reaped = await until("the child to be reaped", gone, LONGEST_DEATH).catch(() => false);
    if ((await settled(subject)) !== "gone") subject.send(SIGTERM);
  }
  const { exit, signal, stderr } = await subject.ended();
  const banner = stderr.startsWith("=====");
  const [first = ""] = stderr.split("\n");
  const killer = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  const end = killer ?? `status ${exit}`;
  // Whether the child's death or SIGTERM ends it depends on what lies behind the refused call in libc.
  const when = ready === "ready" ? ", once it waits" : "";
  const runs = reaped ? RUNS : "does not reap";
  const what = ready === "ready" && exit === 0 ? runs : `ends: ${end}${when}`;
  const usual = first === TERMINATED.trimEnd();
  return { what, said: banner ? "Bun's crash banner" : usual ? "" : first || (what === RUNS ? "says nothing" : "") };
}

/** Verdicts of both errors in one cell. */
const both = (one: string, other: string) => (one === other ? one : `${one}; ENOSYS: ${other}`);

/** One row of the table. */
async function row(name: string, platforms: string): Promise<string[]> {
  const refused = [[numberOf(name) ?? 0] as const];
  if (NOT_REFUSED.includes(name)) return [`\`${name}\``, platforms, "cannot start", "", "cannot start"];
  const [eperm, enosys] = [await verdict("ours", { refused }), await verdict("ours", { refused, refusal: ENOSYS })];
  const reference = [
    await verdict("reference", { refused }),
    await verdict("reference", { refused, refusal: ENOSYS }),
  ] as const;
  return [
    `\`${name}\``,
    platforms,
    both(eperm.what, enosys.what),
    // Of both errors the first says enough.
    eperm.said.replaceAll("|", "\\|"),
    both(reference[0].what, reference[1].what),
  ];
}

/** Whether it runs, locked, and says nothing but its end where all but `names` is refused, with either error. */
async function runsWith(names: readonly string[]): Promise<boolean> {
  const allowed = names.flatMap((name) => numberOf(name) ?? []);
  for (const refusal of [EPERM, ENOSYS]) {
    const { what, said } = await verdict("ours", { allowed, refusal });
    if (what !== RUNS || said !== "") return false;
  }
  return true;
}

/** Leaves out of `calls` what can go with all that went before: the rest is what pause needs. */
async function smallest(): Promise<string[]> {
  let needed = [...calls];
  for (const call of calls) {
    const fewer = needed.filter((name) => name !== call);
    if (!NOT_REFUSED.includes(call) && (await runsWith(fewer))) needed = fewer;
  }
  return needed;
}

beforeAll(async () => {
  if (missing) return;
  folder = await mkdtemp(join(tmpdir(), "pause-refusals-"));
  root = join(folder, "root");
  const made = await image(["--rootfs", root, "--platform", hostPlatform().name.replace("-", "/")]);
  if (made.status !== 0) throw new Error(made.stderr);
  for (const name of ["dev", "proc"]) await mkdir(join(root, name), { recursive: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

testIf(missing, "each call refused alone, and all but a few: as docs/seccomp.md says", async () => {
  const platforms = callsOf(
    profile,
    PLATFORMS.map(({ name }) => name),
  );
  const whose = (name: string) =>
    PLATFORMS.filter((it) => platforms[it.name]?.includes(name)).map((it) => it.architecture);
  const rows: string[][] = [];
  for (const name of calls) rows.push(await row(name, whose(name).join(", ")));
  const head = ["refused", "called on", "pause-ts", "says", "C pause"];
  const needed = (await smallest()).map((name) => `\`${name}\``).join(", ");
  const text = `${markdownTable([head, ...rows], { alignDelimiters: false })}\n\n${SMALLEST} ${needed}.\n`;
  const document = await Bun.file(DOCUMENT).text();
  const [before = "", rest = ""] = document.split(`${BEGIN}\n\n`);
  const [recorded = "", after = ""] = rest.split(`\n${END}`);
  if (process.env["PAUSE_RECORD"] === "1") await Bun.write(DOCUMENT, `${before}${BEGIN}\n\n${text}\n${END}${after}`);
  else expect(text).toBe(recorded);
});

testIf(
  missing,
  "with the calls of the profile alone, all others EPERM or ENOSYS, it runs and says nothing else",
  async () => {
    expect(await runsWith(calls)).toBe(true);
  },
);
