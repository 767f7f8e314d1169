import * as v from "valibot";
import { httpRequest } from "./http_request.ts";
import { type Recorded } from "./transcript.ts";
import { isObject } from "./wire_client.ts";

const HttpSend = v.object({
  $http: v.object({ method: v.string(), path: v.string(), headers: v.record(v.string(), v.string()) }),
});
/** Headers about the connection itself, which each HTTP library sets in its own way. */
const OWN_HEADERS = ["keep-alive", "transfer-encoding"];

/** Sends the recorded HTTP request and returns the answer in the shape of the record. */
export async function replayHttp(url: string, record: Recorded): Promise<unknown[]> {
  const { $http } = v.parse(HttpSend, record.send[0]);
  const recorded = isObject(record.recv[0]) && isObject(record.recv[0]["$http"])
    ? record.recv[0]["$http"]["headers"]
    : {};
  const { status, headers, body } = await httpRequest(url, $http);
  const kept = Object.entries(headers).flatMap(([name, value]): [string, unknown][] => {
    if (OWN_HEADERS.includes(name)) return [];
    if (name !== "connection" && name !== "upgrade") return [[name, value]];
    return isObject(recorded) && name in recorded ? [[name, String(value).toLowerCase()]] : []; // case is free here
  });
  const what = status === 101 ? { upgraded: true } : { body };
  return [{ $http: { status, headers: Object.fromEntries(kept), ...what } }];
}
