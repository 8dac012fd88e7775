/** The entry: holds the signals, then chooses. No arguments, the init loop; any argument, the command line. */
import { init } from "./init.ts";
import { holdSignals } from "./signals.ts";

const inherited = holdSignals();

if (process.argv.length > 2) {
  // Loaded here and not above: a sandbox starts without arguments and must not pay for them.
  void import("./cli.ts").then(({ cli }) => cli(process.argv.slice(2), () => init(inherited)));
} else {
  init(inherited);
}
