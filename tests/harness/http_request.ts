import { type IncomingHttpHeaders, request } from "node:http";

const LIMIT_MS = 15_000;

/** Headers of a complete upgrade, beside Host. */
export const UPGRADE_HEADERS = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
} as const;

/** What an HTTP request is answered with. */
export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Empty when the request was upgraded. */
  body: string;
}

/**
 * One request on a connection of its own; an upgrade is an answer too, and is ended at once.
 * @param url of the server: only its address counts
 * @param path with its query, as it is sent
 */
export function httpRequest(
  url: string,
  { method = "GET", path = "/", headers = {} }: {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Promise<HttpAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((ok, fail) => {
    const sent = request({ hostname, port, method, path, headers, agent: false, timeout: LIMIT_MS });
    sent.on("upgrade", (response, socket) => {
      socket.destroy();
      ok({ status: response.statusCode ?? 0, headers: response.headers, body: "" });
    });
    sent.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => body += text);
      response.on("end", () => ok({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer")));
    sent.on("error", fail);
    sent.end();
  });
}
