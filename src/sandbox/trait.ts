/** What a program or a file request may do, in the words of a caller. */

/**
 * A sandbox. Files can be read but for what is denied, only what is named can be written, and the network is off. A
 * process has a `/tmp`, `/var/tmp` and `/run` of its own, which begin empty; roots below them are there all the same.
 * Where no sandbox can be had the request fails with `SANDBOX_UNAVAILABLE`, and nothing has been done.
 */
export interface Sandbox {
  /** `read-only`: no file can be written. `workspace-write`: those below {@link roots} can. */
  readonly mode: "read-only" | "workspace-write";
  /**
   * Only with `workspace-write`: directories that can be written to, absolute native paths or `file:` URLs; each must
   * exist. What is named `.git`, `.codex`, `.agents` or `.aws` directly in one stays as it is. Default: the directory
   * that the process starts in, unless that is `/`; file operations have no default.
   */
  readonly roots?: readonly (string | URL)[];
  /** What can be neither read nor written, with all that is below it. What is missing cannot be made either. */
  readonly denied?: readonly (string | URL)[];
  /** The same for all that matches: absolute patterns of `*`, `**`, `?`, `[a-z]` and `{a,b}`. */
  readonly deniedPatterns?: readonly string[];
  /** A process may use the network. Default false. */
  readonly network?: boolean;
}
