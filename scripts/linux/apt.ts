/** What apt on this machine is set up with. */

/** A repository that packages come from. */
export interface Repository {
  /** URL of its root, without a slash at the end. */
  readonly site: string;
  /** As the repository calls itself, or as the machine's list does: `bookworm`, `stable`. */
  readonly suite: string;
}

/** The repositories of this machine's apt, one for each list of packages, in its order; none without apt. */
export async function aptRepositories(): Promise<Repository[]> {
  if (!Bun.which("apt-get")) return [];
  const apt = Bun.spawn(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"], {
    stdout: "pipe",
    stderr: "ignore",
  });
  const lines = (await apt.stdout.text()).split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [site = "", suite = ""] = line.split(" ");
    return { site: site.replace(/\/+$/, ""), suite };
  });
}
