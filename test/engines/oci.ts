/** The part of the OCI runtime configuration (`config.json`) that the tests read and write. */
export interface RuntimeSpec {
  readonly linux: { readonly seccomp?: unknown };
}
