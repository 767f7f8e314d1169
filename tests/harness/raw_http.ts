/** HTTP requests that no library would send. */
import { connect } from "node:net";
import { unixPathOf } from "../../src/protocol/unix_url.ts";

const LIMIT_MS = 15_000;

/** Headers of a complete upgrade, beside Host. */
export const UPGRADE: readonly string[] = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/** The status and the body of the answer; of an upgrade that is taken only the status. */
export interface RawAnswer {
  status: number;
  body: string;
}

/**
 * Sends these lines, as they are, over a connection of its own, and the token last.
 * @param url `ws://…` or `unix:PATH`, as a server printed it
 */
export function askRaw(url: string, lines: readonly string[]): Promise<RawAnswer> {
  const [address = "", token] = url.split("?token=");
  const path = unixPathOf(address);
  const { hostname, port } = new URL(url);
  const socket = path === undefined ? connect(Number(port), hostname.replace(/[[\]]/g, "")) : connect(path);
  return new Promise((ok, fail) => {
    let text = "";
    socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error(`no answer to ${lines.join(" | ")}`)));
    socket.setEncoding("latin1").on("data", (data: string) => {
      text += data;
      if (text.startsWith("HTTP/1.1 101 ")) socket.destroy();
    });
    socket.on("error", fail);
    socket.on("close", () => {
      const [, status, body = ""] = /^HTTP\/1\.1 (\d{3}) .*?\r\n\r\n(.*)$/s.exec(text) ?? [];
      ok({ status: Number(status), body });
    });
    const all = token === undefined ? lines : [...lines, `Authorization: Bearer ${token}`];
    socket.write(all.map((line) => `${line}\r\n`).join("") + "\r\n");
  });
}
