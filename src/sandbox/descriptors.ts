/**
 * Descriptors for a program whose spawn cannot pass any: a shell opens files, pipes or `/proc/<us>/fd/N` under fixed
 * numbers and becomes the program. It runs outside of the sandbox: start it with an empty environment.
 */

/** One descriptor to open. */
export interface OpenedDescriptor {
  /** 3 to 9: dash knows only one digit. */
  readonly fd: number;
  readonly path: string;
  readonly direction: "read" | "write";
}

/** The command with the descriptors open. */
export function withDescriptors(
  argv: readonly string[],
  descriptors: readonly OpenedDescriptor[],
): string[] {
  const redirections = descriptors.map(({ fd, direction }, index) =>
    `${fd}${direction === "read" ? "<" : ">"}"$${index + 1}"`
  );
  const script = `exec ${redirections.join(" ")}; shift ${descriptors.length}; exec "$@"`;
  return ["/bin/sh", "-c", script, "exec-server", ...descriptors.map(({ path }) => path), ...argv];
}
