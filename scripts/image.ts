/**
 * `npm run image`: writes dist/pause-ts.oci.tar, the image for containerd, Docker, podman and skopeo, and its bills of
 * materials.
 */
import { stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import pkg from "../package.json";
import { command } from "./command/command.ts";
import { DIST } from "./command/project.ts";
import { InputError, progress } from "./command/report.ts";
import { hostPlatform, PLATFORMS, platformNamed } from "./executable/platforms.ts";
import { refuseTarget, type Sources, writeArchive, writeFolder } from "./image/assemble.ts";
import { COMPRESSIONS } from "./image/layer.ts";
import { mirrorAt, readPackages } from "./image/libc.ts";
import { parseReference } from "./image/name.ts";
import { loadingLines } from "./image/node.ts";
import { provenance } from "./image/provenance.ts";

const OPTIONS = {
  platform: { type: "string", description: "linux/amd64, linux/arm64 or both with a comma (default: both)" },
  compression: {
    type: "string",
    description: `How layers are compressed: ${COMPRESSIONS.join(" or ")}`,
    default: "gzip",
  },
  tag: { type: "string", description: "The image's name", default: `${pkg.name}:${pkg.version}` },
  "by-digest": {
    type: "boolean",
    description: "Name the image in the archive by its digest instead of its tag",
    default: false,
  },
  output: { type: "string", description: `The archive's path (default: dist/${pkg.name}.oci.tar)` },
  rootfs: { type: "string", description: "Write one platform's root filesystem as this new folder instead" },
  revision: { type: "string", description: "The commit that the labels name (default: git's)" },
  source: {
    type: "string",
    description: "Where the labels say the sources are (default: git's origin, if it is an http address)",
  },
  "debian-mirror": {
    type: "string",
    description: "Where to fetch libc6 (default: DEBIAN_MIRROR, or apt's mirrors)",
  },
  libc6: {
    type: "string",
    description: "Use this libc6 package file instead; for two platforms two, with a comma",
  },
} as const;

await command("image", "Build the image, without Docker and without root", OPTIONS, async (args) => {
  const compression = COMPRESSIONS.find((name) => name === args.compression);
  if (!compression)
    throw new InputError(`unknown compression "${args.compression}": it is one of ${COMPRESSIONS.join(", ")}`);
  const reference = parseReference(args.tag);
  const named = args.platform?.split(",").map((name) => platformNamed(name.trim()));
  const platforms = named && PLATFORMS.filter((it) => named.includes(it));
  const [platform = hostPlatform(), another] = platforms ?? [];
  if (args.rootfs && another) throw new InputError("--rootfs takes one --platform");
  const path = resolve(args.rootfs ?? args.output ?? join(DIST, `${pkg.name}.oci.tar`));
  await refuseTarget(path, args.rootfs !== undefined);
  const wanted = args.rootfs ? [platform] : (platforms ?? PLATFORMS);
  const supply = {
    mirror: mirrorAt(args["debian-mirror"]),
    ...(args.libc6 && { brought: await readPackages(args.libc6, wanted) }),
  };
  const sources: Sources = { origin: await provenance(args.revision, args.source), supply };

  if (args.rootfs) {
    await writeFolder(path, platform, sources);
    progress("");
    return;
  }
  const byDigest = args["by-digest"];
  const { index, shares, files } = await writeArchive(path, wanted, compression, reference, byDigest, sources);
  progress("");
  console.log(`${reference.familiar} ${index.descriptor.digest}`);
  for (const { platform, size, image } of shares) {
    const packed = image.layer.descriptor.size;
    console.log(`${platform.name}: ${size} bytes, ${packed} compressed, ${image.manifest.descriptor.digest}`);
  }
  for (const file of files) console.log(`${relative(process.cwd(), file)}: ${(await stat(file)).size} bytes`);
  const archive = relative(process.cwd(), path);
  console.log(`\n${loadingLines(archive, reference, index.descriptor.digest, byDigest).join("\n")}`);
});
