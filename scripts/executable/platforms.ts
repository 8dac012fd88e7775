/** The platforms that the project builds for, and their names in different tools. */
import { InputError } from "../command/report.ts";

/** One platform. */
export interface Platform {
  /** The name for `--platform`, and in container engines: `linux/amd64`. */
  readonly id: "linux/amd64" | "linux/arm64";
  /** The same in file names: `linux-amd64`. */
  readonly name: "linux-amd64" | "linux-arm64";
  /** GOARCH, which OCI image configurations use. */
  readonly architecture: "amd64" | "arm64";
  /** `process.arch` of a machine of this kind. */
  readonly nodeArch: "x64" | "arm64";
  /** The npm package that carries Bun for it. */
  readonly bunPackage: string;
  /** The name in `bun build --compile`. */
  readonly compileTarget: "bun-linux-x64" | "bun-linux-arm64";
  /** The glibc loader, as written into Bun's program headers (PT_INTERP). */
  readonly loader: string;
}

/** All platforms, in the order of the image index. */
export const PLATFORMS: readonly Platform[] = [
  {
    id: "linux/amd64",
    name: "linux-amd64",
    architecture: "amd64",
    nodeArch: "x64",
    bunPackage: "@oven/bun-linux-x64",
    compileTarget: "bun-linux-x64",
    loader: "/lib64/ld-linux-x86-64.so.2",
  },
  {
    id: "linux/arm64",
    name: "linux-arm64",
    architecture: "arm64",
    nodeArch: "arm64",
    bunPackage: "@oven/bun-linux-aarch64",
    compileTarget: "bun-linux-arm64",
    loader: "/lib/ld-linux-aarch64.so.1",
  },
];

/** The platform called `text`, by its id or its name. Throws an InputError that lists the ids if there is none. */
export function platformNamed(text: string): Platform {
  const platform = PLATFORMS.find(({ id, name }) => id === text || name === text);
  if (platform) return platform;
  throw new InputError(`unknown platform "${text}": it is one of ${PLATFORMS.map(({ id }) => id).join(", ")}`);
}

/** The platform of this machine's processor. Throws an InputError if there is no Bun for it. */
export function hostPlatform(): Platform {
  const platform = PLATFORMS.find((candidate) => candidate.nodeArch === process.arch);
  if (platform) return platform;
  throw new InputError(`no Bun for this machine's processor (${process.arch}): use --platform`);
}
