/** The licences of what the image distributes: none is missing, and all are SPDX's. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SPDX } from "@cyclonedx/cyclonedx-library";
import pkg from "../../package.json";
import { ROOT } from "../../scripts/command/project.ts";
import { imageLicence, licenceTexts, partsOfBun, textsOf } from "../../scripts/image/licences.ts";

const parts = partsOfBun();
const texts = new Map(licenceTexts().map(({ path, body }) => [path, body]));

test("what Bun's licence page names for Linux is a part of Bun", () => {
  const page = readFileSync(join(ROOT, "node_modules/bun-types/docs/project/license.mdx"), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("|") && line.includes("]("));
  const elsewhere = rows.filter((row) => row.includes("(on Windows)") || row.includes("windows.zig"));
  const names = parts.map(({ name }) => name);
  const unnamed = rows.filter((row) => !names.some((name) => row.includes(`[\`${name}\`]`)));
  expect(unnamed).toEqual(elsewhere);
  expect(names.length).toBeGreaterThan(rows.length - elsewhere.length);
  expect(new Set(names).size).toBe(names.length);
});

test("every version that Bun reports for its parts is in the list", () => {
  // Not libraries: Bun itself, its compiler, and Node's interfaces that it copies, with their numbers.
  const others = ["bun", "zig", "node", "modules", "napi", "v8", "unicode", "openssl", "uv"];
  const reported = Object.entries(process.versions).flatMap(([name, version]) => {
    return others.includes(name) ? [] : [version];
  });
  const versions = parts.flatMap(({ version }) => version ?? []);
  expect([...new Set(versions)].sort()).toEqual([...new Set(reported.flatMap((version) => version ?? []))].sort());
});

test("every identifier is SPDX's, and its text is whole and in the image", () => {
  for (const { name, licence, source, texts: paths } of parts) {
    for (const id of licence.split(/ AND | OR /))
      expect([name, id, SPDX.isSupportedSpdxId(id)]).toEqual([name, id, true]);
    expect(URL.canParse(source)).toBe(true);
    expect(paths.filter((path) => !texts.get(path))).toEqual([]);
  }
  expect(texts.get(textsOf("LGPL-2.0-or-later")[0] ?? "")).toStartWith("GNU LIBRARY GENERAL PUBLIC LICENSE");
  expect(texts.get(textsOf("LGPL-2.1-or-later")[0] ?? "")).toStartWith("GNU LESSER GENERAL PUBLIC LICENSE");
});

test("the image's licence expression names each licence whose text is in the image, once: of alternatives the first", () => {
  expect(textsOf("BSD-3-Clause OR GPL-2.0-only")).toEqual(textsOf("BSD-3-Clause"));
  const identifiers = imageLicence().split(" AND ");
  expect(new Set(identifiers).size).toBe(identifiers.length);
  for (const id of identifiers) expect([id, SPDX.isSupportedSpdxId(id)]).toEqual([id, true]);
  const own = [...texts.keys()].filter((path) => path.includes(`/${pkg.name}/`));
  expect([...new Set(identifiers.flatMap(textsOf))].sort()).toEqual(own.sort());
});
