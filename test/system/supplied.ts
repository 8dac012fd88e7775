/** Tests of images, which need libc6: a machine may have neither apt nor a way to a Debian mirror. */
import { messageOf } from "../../scripts/command/report.ts";
import { PLATFORMS } from "../../scripts/executable/platforms.ts";
import { libc6 } from "../../scripts/image/libc.ts";
import { testUnless } from "../support/skip.ts";

/** The reason to skip what needs libc6 for all platforms, or undefined. CI must have it. */
export const NEEDS_LIBC6: string | undefined = process.env["CI"]
  ? undefined
  : await Promise.all(PLATFORMS.map((platform) => libc6(platform))).then(() => undefined, messageOf);

/** Defines a test that needs it. */
export const testSupplied = (title: string, body: () => void | Promise<void>): void =>
  testUnless(NEEDS_LIBC6, title, body);

/** A component of a bill of materials. */
export interface Component {
  readonly name: string;
  readonly version: string;
  readonly "bom-ref": string;
  readonly purl?: string;
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
  readonly supplier?: { readonly name: string };
  readonly licenses: readonly unknown[];
  readonly externalReferences: readonly { readonly type: string; readonly url: string }[];
  readonly components?: readonly Component[];
}

/** A bill of materials. */
interface Bill {
  readonly components: readonly Component[];
  readonly dependencies: readonly unknown[];
  readonly metadata: {
    readonly timestamp: string;
    readonly authors: readonly { readonly name: string }[];
    readonly tools: { readonly components: readonly Component[] };
    readonly component: Component;
  };
}

/** The bill of materials at `path`. */
export const bill = (path: string): Promise<Bill> => Bun.file(path).json();
