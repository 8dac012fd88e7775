/** The bill of materials of a platform's image, in CycloneDX: what is in it, in which version, and from where. */
import { createHash } from "node:crypto";
import { Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import pkg from "../../package.json";
import lock from "../../package-lock.json";
import type { Runtime } from "../executable/bun.ts";
import type { Platform } from "../executable/platforms.ts";
import { type DebianPackage, LIBC6 } from "./debian.ts";
import { imageLicence, ownerOf, partsOfBun, textsOf, textsOfBun } from "./licences.ts";
import type { Provenance } from "./provenance.ts";

/** The entries of package-lock.json. */
const LOCKED: Readonly<Record<string, { version?: string; integrity?: string; license?: string }>> = lock.packages;

const { Application, Container, Library, Platform: PlatformComponent } = Enums.ComponentType;

const { Distribution, License: LicenceReference, VCS, Website } = Enums.ExternalReferenceType;

/** The parts of the image that the document describes. */
export interface Parts {
  readonly platform: Platform;
  /** The bytes of /pause. */
  readonly executable: Uint8Array;
  /** The Bun that was compiled in. */
  readonly runtime: Runtime;
  readonly libc: DebianPackage;
}

/** The makers of pause-ts and of this document. */
const AUTHORS = `The authors of ${pkg.name}`;

/** A part of a package URL: ECMA-427 encodes everything except letters, digits, `.-_~` and the colon. */
function encoded(part: string): string {
  return encodeURIComponent(part).replaceAll("%3A", ":");
}

/** One digest of a component. */
function hashed(algorithm: "SHA-256" | "SHA-512", hexadecimal: string): Models.HashDictionary {
  return new Models.HashDictionary([[Enums.HashAlgorithm[algorithm], hexadecimal]]);
}

/** An organisation by its name. */
function organisation(name: string): Models.OrganizationalEntity {
  return new Models.OrganizationalEntity({ name });
}

/** An SPDX identifier or expression as a component's licences. */
function licensed(expression: string): Models.LicenseRepository {
  const Kind = expression.includes(" ") ? Models.LicenseExpression : Models.SpdxLicense;
  return new Models.LicenseRepository([new Kind(expression)]);
}

/** The places of a component's licences in the image, and of its source. */
function references(texts: readonly string[], source?: string): Models.ExternalReferenceRepository {
  const comment = "In the image";
  const kind = source && /github|googlesource/.test(source) ? VCS : Website;
  return new Models.ExternalReferenceRepository([
    ...texts.map((path) => new Models.ExternalReference(`file:///${path}`, LicenceReference, { comment })),
    ...(source ? [new Models.ExternalReference(source, kind)] : []),
  ]);
}

/** Adds what is linked into Bun as parts of it, with the same supplier. */
function addParts(whole: Models.Component): void {
  for (const { name, licence, source, version, texts } of partsOfBun()) {
    const part = new Models.Component(Library, name, {
      bomRef: `${whole.name}/${name}`,
      ...(version && { version }),
      ...(whole.supplier && { supplier: whole.supplier }),
      licenses: licensed(licence),
      externalReferences: references(texts, source),
    });
    whole.components.add(part);
    whole.dependencies.add(part.bomRef);
  }
}

/** Bun, by its executable's digest. Only the pinned executable is identified as the package that package-lock.json names. */
function bunComponent({ bunPackage }: Platform, { sha256, isPinned }: Runtime): Models.Component {
  const { version = "", integrity = "", license = "" } = LOCKED[`node_modules/${bunPackage}`] ?? {};
  const purl = `pkg:npm/${bunPackage.split("/").map(encoded).join("/")}@${encoded(version)}`;
  const digest = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
  const externalReferences = references(textsOfBun());
  if (isPinned)
    externalReferences.add(new Models.ExternalReference(purl, Distribution, { hashes: hashed("SHA-512", digest) }));
  return new Models.Component(PlatformComponent, "bun", {
    bomRef: isPinned ? purl : `bun@sha256:${sha256}`,
    version,
    description: `Bun, with JavaScriptCore and the other libraries that are linked into it${isPinned ? "" : `; not the executable of ${bunPackage}`}`,
    ...(isPinned && { purl, supplier: organisation(ownerOf("bun")) }),
    hashes: hashed("SHA-256", sha256),
    licenses: licensed(license),
    externalReferences,
  });
}

/** Debian's package. */
function libcComponent({ architecture }: Platform, { version, sha256, maintainer }: DebianPackage): Models.Component {
  const qualifiers = `arch=${architecture}&distro=debian-${LIBC6.release}&upstream=${LIBC6.source}`;
  const purl = `pkg:deb/debian/${LIBC6.name}@${encoded(version)}?${qualifiers}`;
  return new Models.Component(Library, LIBC6.name, {
    bomRef: purl,
    version,
    description: "GNU C Library: the loader and the libraries that /pause needs",
    purl,
    supplier: organisation(maintainer),
    hashes: hashed("SHA-256", sha256),
    licenses: licensed(LIBC6.licence),
    externalReferences: references([`usr/share/doc/${LIBC6.name}/copyright`, ...textsOf(LIBC6.licence)]),
  });
}

/** The executable, which consists of the others. */
function pauseComponent(executable: Uint8Array, { source }: Provenance): Models.Component {
  return new Models.Component(Application, pkg.name, {
    bomRef: "/pause",
    version: pkg.version,
    description: pkg.description,
    supplier: organisation(AUTHORS),
    hashes: hashed("SHA-256", createHash("sha256").update(executable).digest("hex")),
    licenses: licensed(pkg.license),
    externalReferences: references(textsOf(pkg.license), source),
  });
}

/**
 * The document for the image that consists of `parts`. Equal images have equal documents: there is no serial number, and
 * the time is the image's. It has NTIA's minimum elements: supplier, name, version, identifier and dependencies of each
 * component, author and time of the document.
 *
 * @param manifest digest of the image's manifest
 */
export function sbom({ platform, executable, runtime, libc }: Parts, manifest: string, origin: Provenance): Uint8Array {
  const image = new Models.Component(Container, pkg.name, {
    bomRef: manifest,
    version: pkg.version,
    supplier: organisation(AUTHORS),
    licenses: licensed(imageLicence()),
    purl: `pkg:oci/${pkg.name}@${encoded(manifest)}?arch=${platform.architecture}`,
  });
  const pause = pauseComponent(executable, origin);
  const bun = bunComponent(platform, runtime);
  addParts(bun);
  const components = [bun, libcComponent(platform, libc)];
  image.dependencies.add(pause.bomRef);
  for (const { bomRef } of components) pause.dependencies.add(bomRef);

  const supplier = organisation(AUTHORS);
  const tool = new Models.Component(Application, "npm run image", { group: pkg.name, version: pkg.version, supplier });
  const bom = new Models.Bom({
    components: new Models.ComponentRepository([pause, ...components]),
    metadata: new Models.Metadata({
      timestamp: new Date(origin.time * 1000),
      lifecycles: new Models.LifecycleRepository([Enums.LifecyclePhase.Build]),
      tools: new Models.Tools({ components: new Models.ComponentRepository([tool]) }),
      authors: new Models.OrganizationalContactRepository([new Models.OrganizationalContact({ name: AUTHORS })]),
      component: image,
      supplier,
    }),
  });
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  return new TextEncoder().encode(`${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`);
}
