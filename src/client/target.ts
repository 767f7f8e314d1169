/** What a URL and its options mean for the WebSocket library. */
import { connect } from "node:net";
import type { ClientOptions } from "ws";
import { ExecServerError } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { unixPathOf } from "../protocol/unix_url.ts";

/** For `wss://`. The server's certificate is always verified. */
export interface TlsOptions {
  /** PEM: the authorities to trust, instead of those that the runtime knows. For a server with a certificate of your own. */
  readonly ca?: string;
  /** PEM: our certificate, for a server that demands one. */
  readonly cert?: string;
  /** PEM: its private key. */
  readonly key?: string;
}

/** A URL for the WebSocket library, and what belongs to it. */
export interface Target {
  readonly url: string | URL;
  readonly options: ClientOptions;
}

/**
 * Takes `ws://…`, `wss://…` and `unix:PATH`, with a token or without.
 * @throws ExecServerError `INVALID_REQUEST` for a `unix:` without a usable path, and for what is no such URL
 */
export function targetOf(url: string | URL, tls: TlsOptions = {}): Target {
  const isSocket = url instanceof URL && url.protocol === "unix:";
  const text = isSocket ? `unix:${decodeURIComponent(url.pathname)}${url.search}` : String(url);
  const [, socket = text, query = ""] = /^(unix:.*?)(\?token=[^?]*)$/s.exec(text) ?? [];
  const path = unixPathOf(socket);
  if (path === undefined) {
    requireUrl(text);
    return { url, options: { ...tls } };
  }
  // Not `ws+unix:PATH:/`: there a path with a colon or a space is another path.
  return { url: `ws://localhost/${query}`, options: { createConnection: () => connect(path) } };
}

/** The library and the runtime would tell the whole text, with the token or a password in it. */
function requireUrl(text: string): void {
  if (URL.canParse(text) && new URL(text).hash === "") return;
  throw new ExecServerError(
    "INVALID_REQUEST",
    "the URL of the server cannot be read; expected `ws://HOST:PORT`, `wss://HOST:PORT` or `unix:PATH`",
  );
}

/** A URL that {@link targetOf} takes, for error texts: without its query, user and password, which may be secret. */
export function shownUrl(url: string | URL): string {
  const text = String(url);
  if (text.startsWith("unix:")) return clip(text.replace(/\?.*$/s, ""));
  const { protocol, host, pathname } = new URL(text);
  return clip(`${protocol}//${host}${pathname === "/" ? "" : pathname}`);
}
