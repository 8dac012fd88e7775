/** The images under test: pause as shipped, the C reference, and a busybox for the containers that join a pod. */
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";

/** An image in a file that every engine can import. */
export interface Image {
  /** Path of a tar file with a Docker `manifest.json`. */
  readonly archive: string;
  /** The name it carries. */
  readonly reference: string;
}

/** This machine's architecture, as images name it. */
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

const ROOT = join(import.meta.dir, "..", "..");

/** Runs a command that must succeed; throws with its messages otherwise. */
async function run(...command: string[]): Promise<string> {
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}

/** SHA-256 of a file, in hexadecimal. */
async function sha256(path: string): Promise<string> {
  return new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");
}

/** Writes a one-layer image of `files` (path in the image, path here) below `folder`; `links` become names of busybox. */
async function imageOf(
  folder: string,
  reference: string,
  files: Readonly<Record<string, string>>,
  config: Readonly<Record<string, unknown>>,
  links: readonly string[] = [],
): Promise<Image> {
  const work = await mkdtemp(join(folder, "image-"));
  const root = join(work, "root");
  for (const [path, source] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await copyFile(source, join(root, path));
    await chmod(join(root, path), 0o755);
  }
  for (const name of links) await symlink("busybox", join(root, "bin", name));
  await run("tar", "-C", root, "--owner=0", "--group=0", "--numeric-owner", "-cf", join(work, "layer.tar"), ".");
  const image = {
    architecture: ARCHITECTURE,
    os: "linux",
    config,
    rootfs: { type: "layers", diff_ids: [`sha256:${await sha256(join(work, "layer.tar"))}`] },
  };
  await Bun.write(join(work, "config.json"), JSON.stringify(image));
  const manifest = [{ Config: "config.json", RepoTags: [reference], Layers: ["layer.tar"] }];
  await Bun.write(join(work, "manifest.json"), JSON.stringify(manifest));
  const archive = join(folder, `${new Bun.CryptoHasher("sha256").update(reference).digest("hex").slice(0, 12)}.tar`);
  await run("tar", "-C", work, "-cf", `${archive}.part`, "manifest.json", "config.json", "layer.tar");
  await rename(`${archive}.part`, archive);
  await rm(work, { recursive: true });
  return { archive, reference };
}

/** The commands of busybox that the tests use. */
const COMMANDS = ["cat", "hostname", "ip", "kill", "readlink", "seq", "sh", "sleep", "tr"];

/** The search path that builders give an image which sets none. */
const SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a pause image says of itself. */
const PAUSE = { Entrypoint: ["/pause"], User: "65535:65535", Env: [`PATH=${SEARCH}`] };

/** The archive of the image as shipped, for this machine; built once a run. */
let shipped: Promise<Image> | undefined;

/** The image of pause as shipped: what `npm run image` builds. */
export function pauseImage(): Promise<Image> {
  shipped ??= (async () => {
    const image = { archive: join(ROOT, "dist", "engines", "pause.oci.tar"), reference: "localhost/pause-ts:test" };
    const options = ["--platform", `linux/${ARCHITECTURE}`, "--tag", image.reference, "--output", image.archive];
    await run(process.execPath, "scripts/image.ts", ...options);
    return image;
  })();
  return shipped;
}

/** The image of the C reference, compiled here. Throws without a C compiler and a static libc. */
export async function referenceImage(folder: string): Promise<Image> {
  const pause = join(folder, "reference-pause");
  await run("cc", "-O2", "-static", "-o", pause, join(ROOT, "test", "reference", "pause.c"));
  return imageOf(folder, "localhost/pause-reference:test", { pause }, PAUSE);
}

/** The image of the containers that join pods: a static busybox and the commands that the tests use. */
export async function busyboxImage(folder: string): Promise<Image> {
  const busybox = Bun.which("busybox");
  if (!busybox) throw new Error("there is no busybox here");
  return imageOf(folder, "localhost/busybox:test", { "bin/busybox": busybox }, { Env: ["PATH=/bin"] }, COMMANDS);
}

/** Unpacks the image's layers into `root`, for runtimes that take a folder. */
export async function unpack(image: Image, root: string): Promise<void> {
  const work = `${root}.layers`;
  await mkdir(work, { recursive: true });
  await mkdir(root, { recursive: true });
  await run("tar", "-C", work, "-xf", image.archive);
  const [manifest] = (await Bun.file(join(work, "manifest.json")).json()) as [{ Layers: string[] }];
  for (const layer of manifest.Layers) await run("tar", "-C", root, "-xf", join(work, layer));
  await rm(work, { recursive: true });
}
