/**
 * What runs first inside: it says that the sandbox stands, forbids core files, and becomes the program.
 *
 * The environment comes through a shell here, and shells spoil some of it. What a shell would spoil travels in
 * variables of our own, and env(1) puts it right: not as arguments of bwrap, which everybody on the machine can
 * see for as long as the process runs.
 */
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { passesShell } from "../command/shell_names.ts";
import { withArgv0 } from "../command/argv0.ts";

/** Both are called by these paths inside; a policy that hides them cannot start a process. */
export const WRAPPER_PROGRAMS = ["/bin/sh", "/usr/bin/env"] as const;

/** Exit code when the wrapper could not do its part: nothing was run. */
export const WRAPPER_FAILED_EXIT_CODE = 125;

/** What shells add to the environment; PATH, where there is none, is busybox. */
const ADDED_BY_SHELLS = ["PWD", "OLDPWD", "SHLVL", "_", "PATH"];
const CARRIER = "EXEC_SERVER_VARIABLE_";

let isDash: boolean | undefined;

/** Debian's shell has no variables that it would add again: one program less on the way of every start, 1 ms of 14. */
function shellIsDash(): boolean {
  try {
    return isDash ??= basename(realpathSync("/bin/sh")) === "dash";
  } catch {
    return false; // it will fail to start, and say why
  }
}

/** What bwrap is to execute, and the variables to set. */
export interface Wrapped {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Wraps a program.
 * @param command absolute path of the program, and its argv
 * @param env exactly what the program gets
 * @param fds `ready`: where a `1` is written when the sandbox stands. `go`: where a line is waited for before the
 * program runs; without one, or when it ends without a line, nothing is run. Both are closed before the program runs.
 * One digit each: dash knows no others
 * @throws ExecServerError `UNSUPPORTED` when the program cannot be run with that argv[0] here
 */
export function wrapped(
  command: { readonly file: string; readonly argv: readonly string[] },
  env: Readonly<Record<string, string>>,
  fds: { readonly ready: number; readonly go?: number | undefined },
): Wrapped {
  const { argv, env: passed } = withArgv0(command, env);
  const entries = Object.entries(passed);
  const quiet = entries.filter(([name]) => passesShell(name) && !name.startsWith(CARRIER));
  const carried = entries.filter(([name]) => !passesShell(name) || name.startsWith(CARRIER));
  const names = new Set(quiet.map(([name]) => name));
  const unset = [
    ...ADDED_BY_SHELLS.filter((name) => !names.has(name)),
    ...carried.map((_, index) => `${CARRIER}${index}`),
  ];
  const script = [
    `ulimit -c 0 || exit ${WRAPPER_FAILED_EXIT_CODE}`,
    `printf 1 >&${fds.ready}`,
    `exec ${fds.ready}>&-`,
    ...(fds.go === undefined
      ? []
      : [`read -r REPLY <&${fds.go} || exit ${WRAPPER_FAILED_EXIT_CODE}`, `exec ${fds.go}<&-`]),
    carried.length === 0 && shellIsDash()
      ? `unset ${unset.join(" ")}\nexec "$@"`
      : `exec /usr/bin/env ${unset.map((name) => `-u ${name} `).join("")}-- ${
        carried.map((_, index) => `"$${CARRIER}${index}" `).join("")
      }"$@"`,
  ].join("\n");
  return {
    argv: ["/bin/sh", "-c", script, "exec-server", ...argv],
    env: Object.fromEntries([
      ...quiet,
      ...carried.map(([name, value], index) => [`${CARRIER}${index}`, `${name}=${value}`]),
    ]),
  };
}
