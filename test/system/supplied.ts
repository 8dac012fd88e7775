/** Tests of images, which need libc6: a machine may have neither apt nor a way to a Debian mirror. */
import type { Serialize } from "@cyclonedx/cyclonedx-library";
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

/** The bill of materials at `path`. */
export const bill = (path: string): Promise<Serialize.JSON.Types.Normalized.Bom> => Bun.file(path).json();
