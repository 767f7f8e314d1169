/** What a URL and its options mean for the WebSocket library. */
import { connect } from "node:net";
import type { ClientOptions } from "ws";
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

/** Takes `ws://…`, `wss://…` and `unix:PATH`, with a token or without. @throws ExecServerError `INVALID_REQUEST` for a `unix:` without a usable path */
export function targetOf(url: string | URL, tls: TlsOptions = {}): Target {
  const isSocket = url instanceof URL && url.protocol === "unix:";
  const text = isSocket ? `unix:${decodeURIComponent(url.pathname)}${url.search}` : String(url);
  const [, socket = text, query = ""] = /^(unix:.*?)(\?token=[^?]*)$/s.exec(text) ?? [];
  const path = unixPathOf(socket);
  if (path === undefined) return { url, options: { ...tls } };
  // Not `ws+unix:PATH:/`: there a path with a colon or a space is another path.
  return { url: `ws://localhost/${query}`, options: { createConnection: () => connect(path) } };
}
