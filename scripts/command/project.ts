/** Paths of the project. */
import { join } from "node:path";

/** The project's folder. */
export const ROOT = join(import.meta.dir, "..", "..");

/** Build output; git, Docker and `npm run check` ignore it. */
export const DIST = join(ROOT, "dist");
