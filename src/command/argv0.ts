/** How env(1) is to run a program so that it gets its argv[0]. */
import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { unsupported } from "../protocol/error.ts";
import { findProgram } from "./find_program.ts";

/** Arguments for env(1) that name what to run, and the environment that env(1) must make. */
export interface Argv0Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const BASHES = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/run/current-system/sw/bin/bash"];

/** Bash sets these or cannot hold every text in them. Nobody exports them, but for mischief. */
const SPOILED_BY_BASH =
  /^(?:BASH|BASHOPTS|BASHPID|BASH_(?:ALIASES|ARG[CV]|ARGV0|CMDS|COMMAND|COMPAT|EXECUTION_STRING|LINENO|REMATCH|SOURCE|SUBSHELL|VERSINFO|VERSION|XTRACEFD)|COMP_WORDBREAKS|DIRSTACK|EPOCHREALTIME|EPOCHSECONDS|E?UID|FUNCNAME|GROUPS|HISTCMD|IFS|LINENO|OPTARG|OPTERR|OPTIND|PIPESTATUS|PPID|PS4|S?RANDOM|SECONDS|SHELLOPTS)$/;
/** Bash changes these, but lets them be set for the program. */
const SET_FOR_PROGRAM = ["PWD", "OLDPWD", "SHLVL", "_", "PS1", "PS2"];
/** Bash complains about a locale that is not installed, on the program's stderr. */
const LOCALE = /^(?:LANG|LC_[A-Z]+)$/;

/**
 * env(1) passes the name it was given as argv[0]. That does when argv[0] is the file, or a plain name that the PATH
 * of the program leads to the same file. Everything else takes bash, with `exec -a`: env(1) has such an option only
 * since coreutils 9.2, and POSIX has none.
 * @throws ExecServerError `UNSUPPORTED`
 */
export function withArgv0(
  command: { readonly file: string; readonly argv: readonly string[] },
  env: Readonly<Record<string, string>>,
): Argv0Command {
  const { file, argv: [name = file, ...rest] } = command;
  const isOperand = !/^-|=/.test(name); // else env(1) takes it for an option or a variable
  if (isOperand && (name === file || leadsTo(name, env, file))) return { argv: [name, ...rest], env };
  const bash = BASHES.find((path) => existsSync(path));
  if (bash === undefined) {
    throw unsupported(
      "a process with limits and this argv[0] takes bash, which is not here: start without arg0, or install it",
    );
  }
  return throughBash(bash, { file, name, rest }, env);
}

function leadsTo(name: string, env: Readonly<Record<string, string>>, file: string): boolean {
  const folders = env["PATH"]?.split(":");
  if (name === "" || name.includes("/") || !folders?.every((folder) => isAbsolute(folder))) return false;
  try {
    return findProgram(name, "/", env) === file;
  } catch {
    return false;
  }
}

function throughBash(
  bash: string,
  { file, name, rest }: { file: string; name: string; rest: readonly string[] },
  env: Readonly<Record<string, string>>,
): Argv0Command {
  const spoiled = Object.keys(env).find((each) => SPOILED_BY_BASH.test(each));
  if (spoiled !== undefined) {
    throw unsupported(`a process with limits and this argv[0] cannot have ${spoiled} in its environment`);
  }
  const level = env["SHLVL"];
  if (level !== undefined && !/^(?:0|[1-9][0-9]{0,2})$/.test(level)) {
    throw unsupported("a process with limits and this argv[0] cannot have an SHLVL that is not below 1,000");
  }
  const entries = Object.entries(env);
  const locale = entries.filter(([each]) => LOCALE.test(each));
  const own = SET_FOR_PROGRAM.filter((each) => env[each] !== undefined);
  const script = [
    `unset ${SET_FOR_PROGRAM.filter((each) => each !== "_").join(" ")}`,
    // exec counts SHLVL down, and exports it anew; an array is never exported.
    ...(level === undefined ? ["declare -a SHLVL"] : []),
    ...(locale.length > 0 ? [`export "\${@:1:${locale.length}}" 2>/dev/null`] : []),
    [
      ...own.map((each, index) => `${each}=\${${locale.length + index + 1}}`),
      `exec -a "$0" "\${@:${locale.length + own.length + 1}}"`,
    ].join(" "),
  ].join("\n");
  const values = own.map((each) => each === "SHLVL" ? String(Number(level) + 1) : env[each] ?? "");
  return {
    argv: [
      bash,
      "--norc", // reads ~/.bashrc when standard input is a socket, as the pipes of Node are: rshd, it believes
      "-p", // reads no BASH_ENV, no functions and no SHELLOPTS
      "-c",
      script,
      name,
      ...locale.map(([each, value]) => `${each}=${value}`),
      ...values,
      file,
      ...rest,
    ],
    env: Object.fromEntries(entries.filter(([each]) => !LOCALE.test(each) && !own.includes(each))),
  };
}
