import { request } from "node:http";
import * as v from "valibot";
import { type Recorded } from "./transcript.ts";
import { isObject, type JsonObject } from "./wire_client.ts";

const HttpSend = v.object({
  $http: v.object({ method: v.string(), path: v.string(), headers: v.record(v.string(), v.string()) }),
});
const LIMIT_MS = 15_000;
/** Headers about the connection itself, which each HTTP library sets in its own way. */
const OWN_HEADERS = ["keep-alive", "transfer-encoding"];

/** Sends the recorded HTTP request and returns the answer in the shape of the record. */
export async function replayHttp(url: string, record: Recorded): Promise<unknown[]> {
  const { $http } = v.parse(HttpSend, record.send[0]);
  const { hostname, port } = new URL(url);
  const recorded = isObject(record.recv[0]) && isObject(record.recv[0]["$http"])
    ? record.recv[0]["$http"]["headers"]
    : {};
  const answer = await new Promise<JsonObject>((ok, fail) => {
    const { method, path, headers } = $http;
    const sent = request({ hostname, port, method, path, headers, agent: false, timeout: LIMIT_MS });
    sent.on("upgrade", (response, socket) => {
      socket.destroy();
      ok({ status: response.statusCode, headers: response.headers, upgraded: true });
    });
    sent.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => body += text);
      response.on("end", () => ok({ status: response.statusCode, headers: response.headers, body }));
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer")));
    sent.on("error", fail);
    sent.end();
  });
  const headers = isObject(answer["headers"]) ? answer["headers"] : {};
  const kept = Object.entries(headers).flatMap(([name, value]): [string, unknown][] => {
    if (OWN_HEADERS.includes(name)) return [];
    if (name !== "connection" && name !== "upgrade") return [[name, value]];
    return isObject(recorded) && name in recorded ? [[name, String(value).toLowerCase()]] : []; // case is free here
  });
  return [{ $http: { ...answer, headers: Object.fromEntries(kept) } }];
}
