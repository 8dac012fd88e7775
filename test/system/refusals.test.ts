/**
 * The system calls that pause can do without: each is refused alone, with EPERM and with ENOSYS, to PID 1 with the image's
 * files, and beside it to the static C reference. docs/seccomp.md has the result as a table;
 * `PAUSE_RECORD=1 bun test test/system/refusals.test.ts` writes it.
 */
import { expect } from "bun:test";
import { mkdir } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { markdownTable } from "markdown-table";
import { ROOT } from "../../scripts/command/project.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { childrenOf, hasEnded, isReady, until } from "../../scripts/linux/proc.ts";
import { SIGTERM } from "../../scripts/linux/signals.ts";
import { compileStatic, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { NEEDS_LIBSECCOMP, numberOf } from "../support/calls.ts";
import type { Launch } from "../support/launch.ts";
import { TERMINATED } from "../support/output.ts";
import { calls } from "../support/profile.ts";
import { image } from "../support/project.ts";
import { NEEDS_PID_ONE, NEEDS_ROOT, testUnless } from "../support/skip.ts";
import { settled, start } from "../support/subject.ts";
import { temporary } from "../support/temporary.ts";

const DOCUMENT = join(ROOT, "docs", "seccomp.md");
/** The table stands between these lines of the document. */
const [BEGIN, END] = ["<!-- refusals: begin -->\n\n", "\n<!-- refusals: end -->"];

const { ENOSYS } = constants.errno;

/** The call that a test cannot refuse: the launcher's own last one. */
const NOT_REFUSED = "execve";

/** Introduces the calls that are in no row. */
const UNNEEDED = "Both run without any of these:";

/** Introduces the smallest list with which pause runs as it should: found by leaving out one call after another. */
const SMALLEST = "It runs, locked, with these alone:";

const root = join(temporary("refusals"), "root");

/** The fate of a start. */
interface Verdict {
  readonly fate: string;
  /** The first line on standard error, if it is not the usual one. */
  readonly said: string;
}

const RUNS = "runs";

/** The longest that a dead child may be seen before it counts as not reaped, in seconds. */
const LONGEST_DEATH = 5;

/** Starts PID 1 under a filter, has a child of it die, and ends it with SIGTERM. */
async function verdict(program: "ours" | "reference", filter: Partial<Launch>): Promise<Verdict> {
  const spec =
    program === "ours" ? { program: "/pause", rootFolder: root } : { program: compileStatic() ?? "", rootFolder: "/" };
  const mounts = `mount -t proc proc ${root}/proc; mount --rbind /dev ${root}/dev`;
  const subject = await start({ ...spec, ...filter }, { pidOne: true, before: `sleep 1000 & ${mounts}` });
  const ended = () => hasEnded(subject.pid);
  const ready = await until("it to sleep or to end", () => (isReady(subject.pid) ? "ready" : ended() && "ended"));
  let reaped = true;
  if (ready === "ready") {
    for (const { pid } of childrenOf(subject.pid)) process.kill(pid, "SIGKILL");
    const gone = () => ended() || childrenOf(subject.pid).length === 0;
    reaped = await until("the child to be reaped", gone, LONGEST_DEATH).catch(() => false);
    if ((await settled(subject)) !== "gone") subject.send(SIGTERM);
  }
  const { exit, signal, stderr } = await subject.ended();
  const killer = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  // It depends on the code behind the refused call in libc if the child's death or SIGTERM ends it.
  const when = ready === "ready" ? ", once it waits" : "";
  const runs = reaped ? RUNS : "does not reap";
  const fate = ready === "ready" && exit === 0 ? runs : `ends: ${killer ?? `status ${exit}`}${when}`;
  const [first = ""] = stderr.split("\n");
  if (first === TERMINATED.trimEnd()) return { fate, said: "" };
  if (first.startsWith("=====")) return { fate, said: "Bun's crash banner" };
  return { fate, said: first || (fate === RUNS ? "says nothing" : "") };
}

/** The cells of the call `name`: the fate of ours without it, what it says, and the fate of the reference. */
async function without(name: string): Promise<string[]> {
  if (name === NOT_REFUSED) return ["cannot start", "", "cannot start"];
  const both = async (program: "ours" | "reference") => {
    const refused = [[numberOf(name)] as const];
    const [eperm, enosys] = [await verdict(program, { refused }), await verdict(program, { refused, refusal: ENOSYS })];
    // Its words with the first error are enough.
    return { ...eperm, fate: eperm.fate === enosys.fate ? eperm.fate : `${eperm.fate}; ENOSYS: ${enosys.fate}` };
  };
  const { fate, said } = await both("ours");
  return [fate, said.replaceAll("|", "\\|"), (await both("reference")).fate];
}

/** True if it runs, locked, and says nothing but its end where all but `names` is refused, with either error. */
async function runsWith(names: readonly string[]): Promise<boolean> {
  const allowed = names.map(numberOf);
  const verdicts = [await verdict("ours", { allowed }), await verdict("ours", { allowed, refusal: ENOSYS })];
  return verdicts.every(({ fate, said }) => fate === RUNS && said === "");
}

/** Leaves out of `calls` each that can go with all that went before: the rest is what pause needs. */
async function smallest(): Promise<string[]> {
  let needed = [...calls];
  for (const call of calls) {
    const fewer = needed.filter((name) => name !== call);
    if (call !== NOT_REFUSED && (await runsWith(fewer))) needed = fewer;
  }
  return needed;
}

const title = "each call refused alone, all but the profile's, and all but a few: as docs/seccomp.md says";
const NEEDS_STATIC = compileStatic() ? undefined : NO_REFERENCE;
testUnless(NEEDS_PID_ONE ?? NEEDS_ROOT ?? NEEDS_STATIC ?? NEEDS_LIBSECCOMP, title, async () => {
  const made = await image(["--rootfs", root, "--platform", hostPlatform().id]);
  expect(made).toMatchObject({ status: 0, stderr: "" });
  for (const name of ["dev", "proc"]) await mkdir(join(root, name), { recursive: true });
  expect(await runsWith(calls)).toBe(true);

  const quoted = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ");
  const rows: string[][] = [];
  const unneeded: string[] = [];
  for (const name of calls) {
    const cells = await without(name);
    if (cells.join() === `${RUNS},,${RUNS}`) unneeded.push(name);
    else rows.push([quoted([name]), ...cells]);
  }
  const table = markdownTable([["refused", "pause-ts", "says", "C pause"], ...rows], { alignDelimiters: false });
  const lists = `${UNNEEDED} ${quoted(unneeded.toSorted())}.\n\n${SMALLEST} ${quoted(await smallest())}.\n`;
  const text = `${table}\n\n${lists}`;
  const document = await Bun.file(DOCUMENT).text();
  const [before = "", rest = ""] = document.split(BEGIN);
  const [recorded = "", after = ""] = rest.split(END);
  if (process.env["PAUSE_RECORD"] === "1") await Bun.write(DOCUMENT, `${before}${BEGIN}${text}${END}${after}`);
  else expect(text).toBe(recorded);
});
