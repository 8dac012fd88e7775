/** The answer to `-v` and `--version`. */
import { version } from "../package.json";

/** The version as a line: `pause.ts 0.3.0`. */
export const VERSION_LINE = `pause.ts ${version}\n`;
