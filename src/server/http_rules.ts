/** The HTTP side: routes and refusals (protocol reference, sections 1 to 3). */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type AccessRules, refuseAccess } from "./access.ts";
import type { Refusal } from "./refusal.ts";

/** Why a request is not an upgrade that we take; the order of the checks is the wire's. */
export function refuse(request: IncomingMessage, rules: AccessRules): Refusal | undefined {
  const forbidden = refuseAccess(request, rules);
  if (forbidden) return forbidden;
  const [path] = (request.url ?? "/").split("?"); // not `new URL`: it throws on `//`
  const method = request.method ?? "GET";
  if (path === "/readyz") {
    return method === "GET" || method === "HEAD"
      ? { status: 200, reason: "OK" }
      : { status: 405, reason: "Method Not Allowed", headers: { allow: "GET,HEAD" } };
  }
  if (path !== "/") return { status: 404, reason: "Not Found" };
  if (method !== "GET") {
    return { status: 405, reason: "Method Not Allowed", body: "Request method must be `GET`" };
  }
  const { connection, upgrade } = request.headers;
  const problem = !/\bupgrade\b/i.test(connection ?? "")
    ? "Connection header did not include 'upgrade'"
    : upgrade?.toLowerCase() !== "websocket"
    ? "`Upgrade` header did not include 'websocket'"
    : request.headers["sec-websocket-version"] !== "13"
    ? "`Sec-WebSocket-Version` header did not include '13'"
    : request.headers["sec-websocket-key"] === undefined
    ? "`Sec-WebSocket-Key` header missing"
    : undefined;
  return problem === undefined ? undefined : { status: 400, reason: "Bad Request", body: problem };
}

/** Answers a request that asks for no upgrade. */
export function answer(request: IncomingMessage, response: ServerResponse, rules: AccessRules): void {
  const refusal = refuse(request, rules) ??
    { status: 400, reason: "Bad Request", body: "Connection header did not include 'upgrade'" };
  response.writeHead(refusal.status, headersOf(refusal));
  response.end(refusal.body);
}

function headersOf(refusal: Refusal): Record<string, string> {
  const type = refusal.body === undefined ? {} : { "content-type": "text/plain; charset=utf-8" };
  return {
    ...refusal.headers,
    ...type,
    "content-length": String(Buffer.byteLength(refusal.body ?? "")),
    connection: "close",
  };
}

/** A refusal as it goes over the socket of an upgrade. */
export function rawResponse(refusal: Refusal): string {
  const headers = Object.entries({ ...headersOf(refusal), date: new Date().toUTCString() }).map((
    [name, value],
  ) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${refusal.status} ${refusal.reason}\r\n${headers}\r\n${refusal.body ?? ""}`;
}
