/** argv[0] under Node and Deno: the addon can only pass the program's path. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import type { TerminalOptions } from "./terminal.ts";
import { unsupported } from "./coded_error.ts";

const SHELLS = ["/bin/bash", "/usr/bin/bash"];
/** What bash puts into the environment of its own accord. */
const ADDED = ["OLDPWD", "PWD", "SHLVL"];

/** The program and its arguments. Through bash when the child is to see another name than its program's. */
export function commandFor({ file, argv, env }: TerminalOptions): { file: string; args: string[] } {
  const [name = file, ...args] = argv;
  // The usual case: `ls` found as /bin/ls. The child sees the whole path, by which programs know themselves as well.
  if (basename(name) === basename(file)) return { file, args };
  const bash = SHELLS.find((path) => existsSync(path));
  if (bash === undefined) {
    throw unsupported(`argv[0] ${JSON.stringify(name)} for ${file} takes bash, which is not there`);
  }
  const added = ADDED.filter((variable) => !(variable in env)).join(" ");
  const script = `${added === "" ? "" : `unset -v ${added}; `}exec -a "$0" "$@"`;
  // -p: no file named by the environment is run, nothing is imported from it.
  return { file: bash, args: ["-p", "-c", script, name, file, ...args] };
}
