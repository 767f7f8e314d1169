/** What a program may know about the machine an environment is on. */
export interface EnvironmentInfo {
  /** The account's login shell. */
  readonly shell: { readonly name: string; readonly path: string };
  /** Version of the software that answers, for example `0.1.0`; undefined when the server does not tell. */
  readonly version: string | undefined;
  /** Working directory, as a native path. */
  readonly cwd: string | undefined;
  /** Home directory, as a native path. */
  readonly homeDirectory: string | undefined;
  /** Directory for temporary files, as a native path. */
  readonly tempDirectory: string | undefined;
  /** Operating system: `linux`, `macos` or `windows`. */
  readonly os: string | undefined;
  /** What this environment can do beyond the basics; an absent name means that it cannot. */
  readonly capabilities: Readonly<Record<string, boolean>>;
}

/** Facts about an environment. */
export interface Info {
  /**
   * The environment's facts, fetched once and then remembered.
   * @throws ExecServerError when the environment cannot be reached
   */
  get(): Promise<EnvironmentInfo>;
}
