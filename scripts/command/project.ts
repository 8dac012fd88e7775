/** Where the project lies. */
import { join } from "node:path";

/** The project's folder. */
export const ROOT = join(import.meta.dir, "..", "..");

/** What is built lies here; git, Docker and `npm run check` pass it over. */
export const DIST = join(ROOT, "dist");
