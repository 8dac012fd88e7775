/**
 * The licences of what the image distributes: each component's SPDX expression, its source, and the paths of its texts
 * in the image.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import pkg from "../../package.json";
import { ROOT } from "../command/project.ts";
import { InputError, messageOf } from "../command/report.ts";
import { LIBC6 } from "./debian.ts";

/** A component that is linked into Bun, so that no package is named after it. */
export interface Part {
  readonly name: string;
  /** SPDX licence expression. Of alternatives (OR) the first is chosen. */
  readonly licence: string;
  /** Address of the source. */
  readonly source: string;
  /** The release or commit that Bun was built from; undefined if Bun does not say. */
  readonly version: string | undefined;
  /** Paths of its texts in the image, without a leading slash. */
  readonly texts: readonly string[];
}

/** Folder of the licence texts in the image: one file for each SPDX identifier, however many components have it. */
const TEXTS = `usr/share/doc/${pkg.name}/licences`;

/**
 * Bun's licence page, which names what is linked into it. It comes with the types of the same version
 * (bun-types on npm); the packages that carry the executable have no licence file.
 */
const PAGE = "bun-types/docs/project/license.mdx";

const BUN_COPYRIGHT = "usr/share/doc/bun/copyright";

const BUN_PAGE = "usr/share/doc/bun/license.mdx";

/**
 * The libraries that Bun's licence page names, by the page's names: the SPDX expression, from the page and the
 * projects' own licence files, and what `process.versions` calls the version.
 */
const LIBRARIES: Readonly<Record<string, readonly [licence: string, version?: string]>> = {
  // Since February 2025; Bun's copy has ML-DSA in crypto/evp/p_mldsa.cc, which dates from October.
  boringssl: ["Apache-2.0", "boringssl"],
  brotli: ["MIT"],
  "c-ares": ["MIT", "ares"],
  HdrHistogram_c: ["BSD-2-Clause OR CC0-1.0"],
  highway: ["Apache-2.0"],
  libarchive: ["BSD-2-Clause AND BSD-3-Clause", "libarchive"],
  libbase64: ["BSD-2-Clause"],
  libdeflate: ["MIT", "libdeflate"],
  libicu: ["Unicode-3.0", "icu"],
  "libjpeg-turbo": ["IJG AND BSD-3-Clause AND Zlib"],
  libspng: ["BSD-2-Clause AND libpng-2.0"],
  libwebp: ["BSD-3-Clause"],
  "lol-html": ["BSD-3-Clause", "lolhtml"],
  "ls-hpack": ["MIT AND BSD-2-Clause", "lshpack"],
  "ls-qpack": ["MIT"],
  lsquic: ["MIT AND BSD-3-Clause"],
  mimalloc: ["MIT", "mimalloc"],
  picohttp: ["MIT OR Artistic-1.0-Perl OR GPL-1.0-or-later", "picohttpparser"],
  simdutf: ["Apache-2.0"],
  sqlite: ["blessing", "sqlite"],
  tinycc: ["LGPL-2.1-or-later", "tinycc"],
  uSockets: ["Apache-2.0", "usockets"],
  uWebsockets: ["Apache-2.0", "uwebsockets"],
  "zlib-ng": ["Zlib", "zlib"],
  zstd: ["BSD-3-Clause OR GPL-2.0-only", "zstd"],
};

/** Libraries that the page names although they are not in the executable for Linux. */
const ELSEWHERE: readonly string[] = ["libuv", "Tigerbeetle's IO code"];

/** Libraries in the executable that the page names outside its tables, or not at all. */
const UNLISTED: readonly (readonly [name: string, licence: string, source: string, version?: string])[] = [
  // JavaScriptCore, WTF and bmalloc: the newer files are Apple's under BSD-2-Clause.
  ["WebKit", "LGPL-2.0-or-later AND BSD-2-Clause", "https://github.com/oven-sh/WebKit", "webkit"],
  // Bun does not mention Rust, but the panic messages of Rust's library are in the executable.
  ["rust", "MIT OR Apache-2.0", "https://github.com/rust-lang/rust"],
  ["llhttp", "MIT", "https://github.com/nodejs/llhttp", "llhttp"],
  // Parts of Bun are ports of these three.
  ["esbuild", "MIT", "https://github.com/evanw/esbuild"],
  ["lightningcss", "MPL-2.0", "https://github.com/parcel-bundler/lightningcss"],
  ["servo", "MPL-2.0", "https://github.com/servo/servo"],
];

/** A file of an npm package. Throws an InputError if it is missing. */
function readPackaged(path: string): string {
  try {
    return readFileSync(join(ROOT, "node_modules", path), "utf8");
  } catch (error) {
    throw new InputError(`cannot read a package's licence or description: ${messageOf(error)}: run npm ci`);
  }
}

/** The supplier of an npm package: the owner of the repository that it names, like `oven-sh`. */
export function ownerOf(name: string): string {
  const { repository } = JSON.parse(readPackaged(`${name}/package.json`)) as { repository: string };
  return repository.split("/").at(-2) ?? name;
}

/** The identifiers in `licence` whose terms apply: of alternatives, the first. */
function identifiers(licence: string): string[] {
  return (licence.split(" OR ")[0] ?? "").split(" AND ");
}

/** The path in the image of an SPDX identifier's text. "Or later" has the same text. */
function textPath(identifier: string): string {
  return `${TEXTS}/${identifier.replace(/-(only|or-later)$/, "")}.txt`;
}

/** Paths in the image of the texts that go with an SPDX expression, without a leading slash. */
export function textsOf(licence: string): string[] {
  return identifiers(licence).map(textPath);
}

/** The rows of the page's tables: name, address and the licence in the page's words. */
function rows(page: string): { name: string; source: string; words: string }[] {
  return [...page.matchAll(/^\|.*?\[`?([^`\]]+)`?\]\((\S+?)\).*?\|\s*(.*?)\s*\|$/gm)].map(
    // Some addresses lead to a folder or to the licence: cut to the repository.
    ([, name = "", source = "", words = ""]) => ({ name, source: source.replace(/\/(blob|tree)\/.*/, ""), words }),
  );
}

/** The version of a part of Bun, by its name in process.versions. Throws an InputError if that has none. */
function versionOf(key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  const version = process.versions[key];
  if (version === undefined) throw new InputError(`Bun ${Bun.version} does not say which ${key} it has`);
  return version;
}

/**
 * The libraries that are linked into Bun or embedded in it, sorted by name.
 *
 * Throws an InputError if Bun's licence page is missing, is another version's, or names a library that is unknown here:
 * then somebody has to look at that library's licence.
 */
export function partsOfBun(): Part[] {
  const { version } = JSON.parse(readPackaged("bun-types/package.json")) as { version: string };
  if (version !== Bun.version) throw new InputError(`bun-types is ${version}, Bun is ${Bun.version}: run npm ci`);
  const part = (name: string, licence: string, source: string, key?: string): Part => {
    return { name, licence, source, version: versionOf(key), texts: [BUN_COPYRIGHT, ...textsOf(licence)] };
  };
  const listed = rows(readPackaged(PAGE))
    .filter(({ name }) => !ELSEWHERE.includes(name))
    .map(({ name, source, words }) => {
      const [licence, key] = LIBRARIES[name] ?? [];
      if (licence) return part(name, licence, source, key);
      // The polyfills: npm packages, all under the same licence.
      if (words === "MIT") return part(name, words, source);
      throw new InputError(`Bun ${version} links ${name} (${words}): add its licence to LIBRARIES`);
    });
  for (const name of Object.keys(LIBRARIES)) {
    if (!listed.some((found) => found.name === name)) throw new InputError(`Bun ${version} does not link ${name}`);
  }
  const unlisted = UNLISTED.map(([name, licence, source, key]) => part(name, licence, source, key));
  return [...listed, ...unlisted].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

/** The identifiers of all that the image distributes: every licence whose terms apply, sorted by name. */
function allIdentifiers(): string[] {
  const licences = [pkg.license, LIBC6.licence, "MIT", ...partsOfBun().map(({ licence }) => licence)];
  return [...new Set(licences.flatMap(identifiers))].sort();
}

/** SPDX expression of all that the image distributes. Throws an InputError as partsOfBun does. */
export function imageLicence(): string {
  return allIdentifiers().join(" AND ");
}

/** Bun's licence and its parts' as a machine-readable copyright file: Debian's format 1.0. */
function bunCopyright(parts: readonly Part[]): string {
  const stanza = ({ name, licence, source, version, texts }: Part): string => {
    const files = texts.filter((path) => path !== BUN_COPYRIGHT).map((path) => ` /${path}`);
    const comment = `Comment: ${version ? `${version}, ` : ""}${source}`;
    return [`Files: ${name}`, "Copyright: see the source", `License: ${licence}`, ...files, comment, ""].join("\n");
  };
  const head = [
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
    "Upstream-Name: Bun",
    "Source: https://github.com/oven-sh/bun",
    "Comment: What is linked into the Bun that /pause carries, and its licences.",
    "",
    "",
  ].join("\n");
  const texts = textsOf("MIT");
  const bun = { name: "*", licence: "MIT", source: "https://github.com/oven-sh/bun", version: Bun.version, texts };
  return head + [bun, ...parts].map(stanza).join("\n");
}

/** Paths in the image of Bun's own texts, without a leading slash. */
export function textsOfBun(): string[] {
  return [BUN_COPYRIGHT, BUN_PAGE, ...textsOf("MIT")];
}

/**
 * All texts for the image except the copyright files of Debian's packages, and their paths, without a leading slash.
 *
 * Throws an InputError if a text or Bun's list of its parts cannot be read.
 */
export function licenceTexts(): { path: string; body: string }[] {
  const texts = allIdentifiers().map((identifier) => {
    const list = readPackaged(`spdx-license-list/licenses/${identifier}.json`);
    const { licenseText } = JSON.parse(list) as { licenseText: string };
    return { path: textPath(identifier), body: `${licenseText.trimEnd()}\n` };
  });
  const page = { path: BUN_PAGE, body: readPackaged(PAGE) };
  return [...texts, page, { path: BUN_COPYRIGHT, body: bunCopyright(partsOfBun()) }];
}
