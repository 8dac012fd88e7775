/** Makes what the tests of the engines would otherwise make themselves, and keep: a kubelet, and roots of Debian. */
import { TRIXIE } from "../generations.ts";
import { kubelet } from "./build.ts";

await Promise.all([kubelet(), TRIXIE.root()]);
