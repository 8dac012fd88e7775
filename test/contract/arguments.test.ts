/** Argument lists: the same as the C reference for each, and the help and version that are ours. */
import { describe, expect, test } from "bun:test";
import { version } from "../../package.json";
import { sameAsReference, sameForBoth } from "../support/compare.ts";
import { OURS } from "../support/subject.ts";

const VERSION = `pause.ts ${version}\n`;

describe("prints the version, like the reference", () => {
  const lists = {
    "-v": ["-v"],
    "-V": ["-V"],
    "x -v": ["x", "-v"],
    "-v x": ["-v", "x"],
    "-- -v": ["--", "-v"],
    "--help -v": ["--help", "-v"],
    "1,000 arguments, the last of them -v": [...Array(999).fill("x"), "-v"],
    "bytes that are not UTF-8, and -v": ["\xff\xfe", "-v"],
  };
  for (const [title, args] of Object.entries(lists)) {
    sameAsReference("arguments", title, { args }, (ours) => {
      expect(ours).toEqual({ ready: false, exit: 0, signal: null, stdout: VERSION, stderr: "" });
    });
  }
});

describe("ignores the arguments and waits, like the reference", () => {
  const lists = {
    "-vv": ["-vv"],
    "--": ["--"],
    "an empty string": [""],
    "-": ["-"],
    v: ["v"],
    "-v=1": ["-v=1"],
    "--verbose": ["--verbose"],
    "-e code": ["-e", "console.log(1)"],
    "run file": ["run", "/etc/hostname"],
    "1,000 arguments": Array(1000).fill("x"),
    "an argument of 100,000 bytes": ["x".repeat(100_000)],
    "bytes that are not UTF-8": ["\xff\xfe\x80"],
    "-v in bytes that are not UTF-8": ["-v\xff"],
    "a newline behind -v": ["-v\n"],
    "an ANSI escape": ["\x1b[31m"],
  };
  for (const [title, args] of Object.entries(lists)) {
    sameForBoth("arguments", title, { args }, (ours) => expect(ours).toMatchObject({ ready: true, exit: 0 }));
  }
});

describe("ours, by citty", () => {
  const run = (...args: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync([OURS, ...args]);
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  };
  test.each([[["--version"]], [["x", "--version"]]])("%p prints the version", (args) => {
    expect(run(...args)).toEqual({ exitCode: 0, stdout: VERSION, stderr: "" });
  });
  test.each([[["--help"]], [["-h"]], [["x", "-h", "y"]], [["--help", "--version"]]])("%p prints the help", (args) => {
    const help = run(...args);
    expect(help).toMatchObject({ exitCode: 0, stderr: "" });
    for (const word of ["USAGE", "--version", "--help", version]) expect(help.stdout).toContain(word);
    expect(help.stdout).not.toContain("\x1b");
  });
});
