/** Image names: as a user writes them, and as container engines expand them. */
import { InputError } from "../command/report.ts";

/** A parsed `--tag`. */
export interface Reference {
  /** Docker's short name, with the tag: `myorg/pause-ts:1.0`. */
  readonly familiar: string;
  /** The full name, with the registry that a name without one implies: `docker.io/myorg/pause-ts:1.0`. */
  readonly canonical: string;
  /** `1.0`. */
  readonly tag: string;
}

// The grammar of the OCI distribution specification, and Docker's for the registry's host in front.
const COMPONENT = "[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*";
const HOST = "(?:[A-Za-z0-9.-]+[.:][A-Za-z0-9.:-]*|localhost)";
const REFERENCE = new RegExp(
  `^(?:(${HOST})/)?(${COMPONENT}(?:/${COMPONENT})*)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?$`,
);

/** Parses an image name; no tag means `latest`. Throws an InputError if `text` is not one. */
export function parseReference(text: string): Reference {
  const [, host, name, tag = "latest"] = text.match(REFERENCE) ?? [];
  if (!name) throw new InputError(`"${text}" is not an image name like myorg/pause-ts:1.0`);
  const tagged = `${name}:${tag}`;
  if (host !== undefined && host !== "docker.io")
    return { familiar: `${host}/${tagged}`, canonical: `${host}/${tagged}`, tag };
  const familiar = tagged.replace(/^library\//, "");
  return { familiar, canonical: `docker.io/${familiar.includes("/") ? "" : "library/"}${familiar}`, tag };
}

/** The name by which an engine finds exactly this content: with the registry, and the digest in place of the tag. */
export function digestName({ canonical, tag }: Reference, digest: string): string {
  return `${canonical.slice(0, -tag.length - 1)}@${digest}`;
}
