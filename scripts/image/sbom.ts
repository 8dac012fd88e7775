/** The bill of materials of a platform's image, in CycloneDX: what is in it, of which version, from where. */
import { createHash } from "node:crypto";
import { Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import pkg from "../../package.json";
import lock from "../../package-lock.json";
import type { Platform } from "../build/platforms.ts";
import { LIBC6 } from "./debian.ts";
import { type Part, partsOf, textsOf, textsOfPackage } from "./licences.ts";
import type { Provenance } from "./provenance.ts";

/** Media type of the document. */
export const SBOM_TYPE = "application/vnd.cyclonedx+json";

/** The entries of package-lock.json. */
const LOCKED: Readonly<Record<string, { version?: string; integrity?: string; license?: string }>> = lock.packages;

const { Application, Container, Library, Platform: PlatformComponent } = Enums.ComponentType;

const { License: LicenceReference, VCS, Website } = Enums.ExternalReferenceType;

/** An SPDX identifier or expression as a component's licences. */
function licensed(expression: string): Models.LicenseRepository {
  const Kind = expression.includes(" ") ? Models.LicenseExpression : Models.SpdxLicense;
  return new Models.LicenseRepository([new Kind(expression)]);
}

/** Where the texts of a component's licences are in the image, and where its source is. */
function references(texts: readonly string[], source?: string): Models.ExternalReferenceRepository {
  const comment = "In the image";
  const kind = source && /github|googlesource/.test(source) ? VCS : Website;
  return new Models.ExternalReferenceRepository([
    ...texts.map((path) => new Models.ExternalReference(`file:///${path}`, LicenceReference, { comment })),
    ...(source ? [new Models.ExternalReference(source, kind)] : []),
  ]);
}

/** What is linked into `whole`, below it. */
function addParts(whole: Models.Component, parts: readonly Part[]): void {
  for (const { name, licence, source, version, texts } of parts) {
    const part = new Models.Component(Library, name, {
      bomRef: `${whole.name}/${name}`,
      ...(version && { version }),
      licenses: licensed(licence),
      externalReferences: references(texts, source),
    });
    whole.components.add(part);
    whole.dependencies.add(part.bomRef);
  }
}

/** What package-lock.json pins as `dependency`. */
function npmComponent(
  type: Enums.ComponentType,
  name: string,
  dependency: string,
  description: string,
): Models.Component {
  const { version = "", integrity = "", license = "" } = LOCKED[`node_modules/${dependency}`] ?? {};
  const purl = `pkg:npm/${dependency.replace("@", "%40")}@${version}`;
  const digest = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
  return new Models.Component(type, name, {
    bomRef: purl,
    version,
    description,
    purl,
    hashes: new Models.HashDictionary([[Enums.HashAlgorithm["SHA-512"], digest]]),
    licenses: licensed(license),
    externalReferences: references(textsOfPackage(name)),
  });
}

/** Debian's package. */
function libcComponent({ architecture }: Platform): Models.Component {
  const version = encodeURIComponent(LIBC6.version);
  const purl = `pkg:deb/debian/${LIBC6.name}@${version}?arch=${architecture}&distro=debian-${LIBC6.release}&upstream=${LIBC6.source}`;
  return new Models.Component(Library, LIBC6.name, {
    bomRef: purl,
    version: LIBC6.version,
    description: "GNU C Library: the loader and the libraries that /pause needs",
    purl,
    hashes: new Models.HashDictionary([[Enums.HashAlgorithm["SHA-256"], LIBC6.sha256[architecture]]]),
    licenses: licensed(LIBC6.licence),
    externalReferences: references([`usr/share/doc/${LIBC6.name}/copyright`, ...textsOf(LIBC6.licence)]),
  });
}

/** The executable, of which the others are the parts. */
function pauseComponent(executable: Uint8Array): Models.Component {
  const digest = createHash("sha256").update(executable).digest("hex");
  return new Models.Component(Application, pkg.name, {
    bomRef: "/pause",
    version: pkg.version,
    description: pkg.description,
    hashes: new Models.HashDictionary([[Enums.HashAlgorithm["SHA-256"], digest]]),
    licenses: licensed(pkg.license),
    externalReferences: references(textsOf(pkg.license)),
  });
}

/**
 * The document for the image that `executable` is in. The same image has the same document: no serial number,
 * and the time is the image's.
 *
 * @param manifest digest of the image's manifest
 */
export function sbom(platform: Platform, executable: Uint8Array, manifest: string, origin: Provenance): Uint8Array {
  const image = new Models.Component(Container, pkg.name, {
    bomRef: manifest,
    version: pkg.version,
    purl: `pkg:oci/${pkg.name}@${encodeURIComponent(manifest)}?arch=${platform.architecture}`,
  });
  const pause = pauseComponent(executable);
  const bun = "Bun, with JavaScriptCore and the other libraries that are linked into it";
  const packages = [
    npmComponent(PlatformComponent, "bun", platform.bunPackage, bun),
    ...Object.keys(pkg.dependencies).map((name) => npmComponent(Library, name, name, "Compiled into /pause")),
  ];
  for (const component of packages) addParts(component, partsOf(component.name));
  const parts = [...packages, libcComponent(platform)];
  image.dependencies.add(pause.bomRef);
  for (const { bomRef } of parts) pause.dependencies.add(bomRef);

  const bom = new Models.Bom({
    components: new Models.ComponentRepository([pause, ...parts]),
    metadata: new Models.Metadata({ timestamp: new Date(origin.time * 1000), component: image }),
  });
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  return new TextEncoder().encode(`${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`);
}
