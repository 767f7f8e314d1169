/**
 * The prebuilt addon of `@lydell/node-pty`: only its native functions. Its JavaScript closes the terminal shortly
 * after the exit, read or not, and so loses output.
 */
import { createRequire } from "node:module";
import process from "node:process";
import { unsupported } from "./coded_error.ts";

/** The native functions that are used. */
export interface PtyAddon {
  fork(
    file: string,
    args: string[],
    env: string[],
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helper: string,
    onExit: (code: number, signal: number) => void,
  ): { fd: number; pid: number; pty: string };
  resize(fd: number, cols: number, rows: number): void;
}

function isAddon(value: unknown): value is PtyAddon {
  return typeof value === "object" && value !== null && "fork" in value && "resize" in value;
}

let loaded: { addon: PtyAddon; helper: string } | undefined;

/** Loads the addon at the first call. @throws an error with the code UNSUPPORTED where there is none that loads */
export function ptyAddon(): { addon: PtyAddon; helper: string } {
  if (loaded) return loaded;
  // The names are not literals so that no bundler takes the package in. The addon lies in a dependency of the
  // package, which not every installer puts where this module could find it: so it is looked up from there.
  const name = ["@lydell", "node-pty"].join("/");
  const binary = `${name}-${process.platform}-${process.arch}`;
  try {
    const find = createRequire(createRequire(import.meta.url).resolve(name));
    const addon: unknown = find(`${binary}/pty.node`);
    if (!isAddon(addon)) throw new Error("it lacks its functions");
    const helper = process.platform === "darwin" ? find.resolve(`${binary}/spawn-helper`) : "";
    return loaded = { addon, helper };
  } catch (error) {
    throw unsupported(`${name} did not load: ${error instanceof Error ? error.message : error}`);
  }
}
