/** `unix:PATH`: the address of a Unix socket, as a server prints it and a client takes it. */
import { Buffer } from "node:buffer";
import { resolve } from "node:path";
import process from "node:process";
import { ExecServerError } from "./error.ts";
import { clip } from "./quote.ts";

/**
 * The longest path of a Unix socket, in bytes: `sun_path` of `struct sockaddr_un` (unix(7)) has room for 108 with the
 * final zero, 104 on macOS. Node cuts a longer one off and binds another path.
 */
const MAX_SOCKET_PATH_BYTES: number = process.platform === "linux" ? 107 : 103;

/**
 * The path in a `unix:PATH`, made absolute; undefined for any other URL.
 * @throws ExecServerError `INVALID_REQUEST` when there is no path, or one that is too long
 */
export function unixPathOf(text: string): string | undefined {
  if (!text.startsWith("unix:") || text.startsWith("unix://")) return undefined;
  const given = text.slice("unix:".length);
  if (given === "" || given.includes("\0")) {
    throw new ExecServerError("INVALID_REQUEST", `\`${clip(text)}\` names no socket; expected \`unix:PATH\``);
  }
  const path = resolve(given);
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    throw new ExecServerError(
      "INVALID_REQUEST",
      `the path of a Unix socket has ${MAX_SOCKET_PATH_BYTES} bytes at most, and \`${
        clip(path)
      }\` has ${bytes}: choose a shorter one`,
    );
  }
  return path;
}
