/**
 * What a path of the trait means on this host. Linux names are bytes: a path that is UTF-8 travels as a string, any
 * other as a `Buffer`, so that every file can be addressed.
 *
 * Inside this folder names and paths are also handled "raw", as strings with one character for each byte (latin1):
 * they split, compare and sort like the bytes themselves.
 */
import { Buffer } from "node:buffer";
import { lstatSync } from "node:fs";
import process from "node:process";
import { isAscii } from "../protocol/ascii.ts";
import { type ExecServerError, hasCode, invalidRequest } from "../protocol/error.ts";
import { formatPathUri } from "../protocol/path_uri.ts";
import { clip } from "../protocol/quote.ts";
import type { FilePath } from "./trait.ts";

/** An absolute path as `node:fs` takes it: a string when it is UTF-8, else its bytes. */
export type NativePath = string | Buffer;

/**
 * The path on this host: percent-decoded, `.`, `..` and empty segments resolved by their text (not through links),
 * without a slash at the end.
 * @throws ExecServerError `INVALID_REQUEST` for a relative text, a NUL, a URL that is not a `file:` URL, or one that
 * names a host or a Windows drive
 */
export function nativePath(path: FilePath): NativePath {
  if (typeof path === "string") return fromRaw(lexical(toRaw(requireAbsolute(path))));
  const raw = percentDecoded(requireFileUrl(path).pathname);
  if (path.hostname !== "" || /^\/[A-Za-z]:(\/|$)/.test(raw) || raw.includes("\0")) throw invalidHere(path);
  return fromRaw(lexical(raw));
}

/**
 * As {@link nativePath}, for those who can only take a string.
 * @throws ExecServerError `INVALID_REQUEST` also for a path that is not UTF-8
 */
export function nativePathText(path: FilePath): string {
  const native = nativePath(path);
  if (typeof native === "string") return native;
  throw path instanceof URL
    ? invalidHere(path)
    : invalidRequest(`path \`${shownPath(native)}\` is not UTF-8`);
}

/**
 * A path as the wire takes it. Says nothing about whether it is valid on the host at the other end.
 * @throws ExecServerError `INVALID_REQUEST` as {@link nativePath} does, so that local and remote refuse the same
 */
export function pathUri(path: FilePath): string {
  return typeof path === "string" ? formatPathUri(requireAbsolute(path)) : requireFileUrl(path).href;
}

/** A native path as a `file:` URL; bytes that are not UTF-8 become `%FF`. */
export function fileUrl(path: NativePath): URL {
  return new URL(formatPathUri(path));
}

/** A path for an error text: bytes that are not UTF-8 become U+FFFD, and it is cut when it is long. */
export function shownPath(path: NativePath): string {
  return clip(path.toString());
}

/** One character for each byte of the path. */
export function toRaw(path: string | Uint8Array): string {
  // `from` also for bytes: where a Buffer is asked for, not every runtime gives more than a Uint8Array.
  return (typeof path === "string" ? Buffer.from(path) : Buffer.from(path)).toString("latin1");
}

/**
 * The path that {@link toRaw} made raw.
 * @throws ExecServerError `INVALID_REQUEST` for a path that is not UTF-8 where the runtime or the host cannot name it
 */
export function fromRaw(raw: string): NativePath {
  if (isAscii(raw)) return raw;
  const bytes = Buffer.from(raw, "latin1");
  const text = bytes.toString();
  if (Buffer.from(text).equals(bytes)) return text;
  // A lossy string would name another file.
  if (!keepsBytes()) throw invalidRequest(`paths that are not UTF-8 are invalid on '${process.platform}'`);
  return bytes;
}

let kept: boolean | undefined;

/**
 * Whether paths reach the system byte by byte. A runtime that turns bad bytes into U+FFFD makes three bytes of each:
 * the longest possible name becomes too long. Nothing is changed on disk to find out.
 */
function keepsBytes(): boolean {
  if (kept === undefined) {
    try {
      lstatSync(Buffer.concat([Buffer.from("/"), Buffer.alloc(255, 0xff)]));
      kept = true;
    } catch (error) {
      kept = hasCode(error) && error.code === "ENOENT";
    }
  }
  return kept;
}

/** A raw name as text; bytes that are not UTF-8 become U+FFFD. */
export function nameText(rawName: string): string {
  return isAscii(rawName) ? rawName : Buffer.from(rawName, "latin1").toString();
}

/** The path of an entry of a directory, by its raw name. */
export function childPath(directory: NativePath, rawName: string): NativePath {
  if (typeof directory === "string" && isAscii(rawName)) {
    return `${directory === "/" ? "" : directory}/${rawName}`;
  }
  const raw = toRaw(directory);
  return fromRaw(`${raw === "/" ? "" : raw}/${rawName}`);
}

/** The path of the directory that holds a path; `/` holds itself. */
export function parentPath(path: NativePath): NativePath {
  const raw = toRaw(path);
  return fromRaw(raw.slice(0, raw.lastIndexOf("/")) || "/");
}

/** The path that the system gave as bytes. @throws ExecServerError as {@link fromRaw} */
export function nativeOf(bytes: Uint8Array): NativePath {
  return fromRaw(toRaw(bytes));
}

function requireAbsolute(path: string): string {
  if (!path.startsWith("/")) throw invalidRequest(`path \`${clip(path)}\` is not absolute`);
  if (path.includes("\0")) throw invalidRequest("a path must not contain a NUL");
  return path;
}

function requireFileUrl(url: URL): URL {
  if (url.protocol !== "file:") {
    throw invalidRequest(`unsupported path URI scheme \`${clip(url.protocol.slice(0, -1))}\``);
  }
  if (url.hash !== "") throw invalidRequest("fragments are not allowed in path URIs");
  if (url.search !== "") throw invalidRequest("query parameters are not allowed in path URIs");
  if (/%00/.test(url.pathname)) throw invalidHere(url);
  return url;
}

function invalidHere(url: URL): ExecServerError {
  return invalidRequest(`'${clip(url.href)}' is invalid on '${process.platform}'`);
}

function percentDecoded(text: string): string {
  return text.replace(
    /%([0-9A-Fa-f]{2})/g,
    (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function lexical(raw: string): string {
  const kept: string[] = [];
  for (const part of raw.split("/")) {
    if (part === "..") kept.pop();
    else if (part !== "" && part !== ".") kept.push(part);
  }
  return `/${kept.join("/")}`;
}
