/** Finds the program to run, as execvp(3) would, so that every runtime reports the same errors. */
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, resolve } from "node:path";
import { hasCode, osError } from "../protocol/error.ts";

/** execvp's path when PATH is not set (confstr _CS_PATH). */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * The absolute path of a program. A name without `/` is searched in `env.PATH`; relative entries count from `cwd`.
 * @throws ExecServerError `ENOENT`; `EACCES` when something is there that may not be executed
 */
export function findProgram(name: string, cwd: string, env: Readonly<Record<string, string>>): string {
  const candidates = name.includes("/")
    ? [resolve(cwd, name)]
    : (env["PATH"] ?? DEFAULT_PATH).split(delimiter).map((folder) => resolve(cwd, folder, name));
  let denied = false;
  for (const candidate of candidates) {
    const problem = whyNotExecutable(candidate);
    if (problem === undefined) return candidate;
    // execvp goes on after EACCES and reports it when nothing better comes.
    if (problem === "EACCES") denied = true;
    else if (name.includes("/")) throw osError(problem);
  }
  throw osError(denied ? "EACCES" : "ENOENT");
}

/** Checks a working directory. @throws ExecServerError `ENOENT`, `ENOTDIR`, `EACCES` */
export function requireDirectory(path: string): void {
  try {
    if (!statSync(path).isDirectory()) throw osError("ENOTDIR");
    accessSync(path, constants.X_OK);
  } catch (error) {
    throw hasCode(error) ? osError(error.code, error) : error;
  }
}

function whyNotExecutable(path: string): string | undefined {
  try {
    if (!statSync(path).isFile()) return "EACCES";
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    if (hasCode(error)) return error.code;
    throw error;
  }
}
