/** The images that the tests give to engines: pause as shipped, the C reference, and a busybox for everything else. */
import { chmod, cp, mkdir, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { output } from "../../scripts/command/run.ts";
import { hostPlatform } from "../../scripts/executable/platforms.ts";
import { digestOf } from "../../scripts/image/oci.ts";
import { compileStatic, NO_REFERENCE } from "../../scripts/reference/compile.ts";
import { image } from "../support/project.ts";
import { temporary } from "../support/temporary.ts";

/** An image in a file that every engine can import. */
export interface Image {
  /** Path of a tar file with a Docker `manifest.json`. */
  readonly archive: string;
  /** The name it carries. */
  readonly reference: string;
}

/** An image that an engine pulls from a registry, or is given later. */
export interface Pulled {
  readonly archive?: never;
  readonly reference: string;
}

/** Makes an image with the folder `root` as its only layer; its archive and its parts are written beside `root`. */
export async function imageOf(root: string, reference: string, config: object): Promise<Image> {
  const work = dirname(root);
  const [layer, archive] = [join(work, "layer.tar"), join(work, "image.tar")];
  await output(["tar", "-C", root, "--owner=0", "--group=0", "--numeric-owner", "-cf", layer, "."]);
  const { architecture } = hostPlatform();
  const rootfs = { type: "layers", diff_ids: [digestOf(await Bun.file(layer).bytes())] };
  const described = { architecture, os: "linux", config, rootfs, history: [{}] };
  await Bun.write(join(work, "config.json"), JSON.stringify(described));
  const manifest = [{ Config: "config.json", RepoTags: [reference], Layers: ["layer.tar"] }];
  await Bun.write(join(work, "manifest.json"), JSON.stringify(manifest));
  await output(["tar", "-C", work, "-cf", archive, "manifest.json", "config.json", "layer.tar"]);
  return { archive, reference };
}

/** The configuration of a pause image, with the search path that builders give an image that sets none. */
const PAUSE = {
  Entrypoint: ["/pause"],
  User: "65535:65535",
  Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
};

/** Returns a function that makes an image, once. */
function once(make: () => Promise<Image>): () => Promise<Image> {
  let made: Promise<Image> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** The image of pause as shipped, for this machine: what `npm run image` builds. */
export const pauseImage: () => Promise<Image> = once(async () => {
  const built = { archive: join(temporary("pause"), "pause.oci.tar"), reference: "localhost/pause-ts:test" };
  const options = ["--platform", hostPlatform().id, "--tag", built.reference, "--output", built.archive];
  const { status, stderr } = await image(options);
  if (status !== 0) throw new Error(stderr);
  return built;
});

/** The image of the C reference, compiled here. Throws without a C compiler and a static libc. */
export const referenceImage: () => Promise<Image> = once(async () => {
  const pause = compileStatic();
  if (!pause) throw new Error(NO_REFERENCE);
  const root = join(temporary("reference"), "root");
  await mkdir(root);
  await cp(pause, join(root, "pause"));
  await chmod(join(root, "pause"), 0o755);
  return imageOf(root, "localhost/pause-reference:test", PAUSE);
});

/** A new folder with busybox and its links in /bin. */
export async function busyboxRoot(): Promise<string> {
  const root = join(temporary("busybox"), "root");
  for (const name of ["bin", "tmp"]) await mkdir(join(root, name), { recursive: true });
  await cp(Bun.which("busybox") ?? "", join(root, "bin", "busybox"));
  for (const name of (await output(["busybox", "--list"])).trim().split("\n")) {
    if (name !== "busybox") await symlink("busybox", join(root, "bin", name));
  }
  return root;
}

/** The image of containers that join pods, and of the smoke test's orphan: a static busybox. */
export const busyboxImage: () => Promise<Image> = once(async () =>
  imageOf(await busyboxRoot(), "localhost/busybox:test", { Env: ["PATH=/bin"] }),
);

/** Unpacks the layers of an image's archive into `root`, for runtimes that take a folder. */
export async function unpack(archive: string, root: string): Promise<void> {
  const work = `${root}.layers`;
  await mkdir(work, { recursive: true });
  await mkdir(root, { recursive: true });
  await output(["tar", "-C", work, "-xf", archive]);
  const [manifest] = (await Bun.file(join(work, "manifest.json")).json()) as [{ Layers: string[] }];
  for (const layer of manifest.Layers) await output(["tar", "-C", root, "-xf", join(work, layer)]);
  await rm(work, { recursive: true });
}
