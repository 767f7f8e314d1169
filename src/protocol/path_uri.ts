/**
 * Paths on the wire are `file:` URIs (RFC 8089; protocol reference, section 8). Here they become `URL`s and back;
 * what a URL means on this host is `files/native_path.ts`.
 */
import process from "node:process";
import { clip } from "./quote.ts";

/** The URI as a `URL` without query, fragment or user; or the reason why it is refused, as a text. */
export function parsePathUri(text: string): URL | string {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return "invalid URI: relative URL without a base";
  if (scheme !== "file") return `unsupported path URI scheme \`${clip(scheme)}\``;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return "invalid URI: invalid international domain name";
  }
  if (text.includes("#")) return "fragments are not allowed in path URIs";
  if (text.includes("?")) return "query parameters are not allowed in path URIs";
  if (/%00/.test(url.pathname)) return `'${clip(url.href)}' is invalid on '${process.platform}'`;
  return url;
}

/** A native absolute path, or its raw bytes when it is not UTF-8, as a `file:` URI. */
export function formatPathUri(path: string | Uint8Array): string {
  if (typeof path === "string") {
    return `file://${encodeURI(path.toWellFormed()).replace(/[?#[\]]/g, encodeURIComponent)}`;
  }
  let uri = "file://";
  for (const byte of path) {
    uri += /[A-Za-z0-9/._~!$&'()*+,;=:@-]/.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return uri;
}
