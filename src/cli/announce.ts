/** `serve --connection-file`: how commands on this machine find the server. */
import { join, resolve } from "node:path";
import process from "node:process";
import { makeConnectionFolder, writeConnectionFile } from "../discovery/connection_file.ts";
import { messageOf } from "../protocol/error.ts";
import type { Log } from "../server/log.ts";
import { type Options, textOption } from "./options.ts";

/** Value of `--connection-file`. */
const NO_FILE = "none";

/** Where connection files are: the folder of this user's servers, also of those to come, and the one that is named. */
export function connectionFiles(options: Options): string[] {
  const named = textOption(options, "connection-file");
  const files = named === undefined || named === NO_FILE ? [] : [resolve(named)];
  try {
    return [makeConnectionFolder(), ...files];
  } catch {
    return files; // `announce` complains
  }
}

/** Writes the connection file. A server without one works, but has to be named. @returns removes it */
export function announce(
  options: Options,
  how: { url: string; token: string | undefined },
  log: Log,
): () => void {
  const named = textOption(options, "connection-file");
  if (named === NO_FILE) return () => {};
  try {
    return writeConnectionFile(how, named ?? join(makeConnectionFolder(), `${process.pid}.json`));
  } catch (error) {
    if (named !== undefined) throw error;
    log("info", "no connection file: commands on this machine need --url", { error: messageOf(error) });
    return () => {};
  }
}
