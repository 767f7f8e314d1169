/** The JSON-RPC messages of the wire (protocol reference, section 4): no `jsonrpc` member, no batches. */
import { isObject } from "../protocol/method.ts";
import { invalidType } from "../protocol/schema.ts";
import { parseJsonText } from "./json_text.ts";

/** A request's id: a string, or a signed 64-bit integer (as a bigint when a number would lose digits). */
export type RequestId = string | number | bigint;

/** A message as it came. */
export type Message =
  | { readonly kind: "request"; readonly id: RequestId; readonly method: string; readonly params: unknown }
  | { readonly kind: "notification"; readonly method: string; readonly params: unknown }
  | { readonly kind: "result"; readonly id: RequestId; readonly result: unknown }
  | { readonly kind: "error"; readonly id: RequestId; readonly code: number; readonly message: string };

/** Parses and classifies one message. @throws SyntaxError saying what is wrong with it */
export function parseMessage(text: string): Message {
  const { value, idText } = parseJsonText(text);
  if (!isObject(value)) throw new SyntaxError("expected a JSON-RPC object");
  const { method, id } = value;
  if (method !== undefined) {
    if (typeof method !== "string") throw new SyntaxError(invalidType(method, "a string"));
    if (id === undefined) return { kind: "notification", method, params: value["params"] };
    checkTrace(value["trace"]);
    return { kind: "request", id: requestId(id, idText), method, params: value["params"] };
  }
  if ("result" in value && id !== undefined) {
    return { kind: "result", id: requestId(id, idText), result: value["result"] };
  }
  const { error } = value;
  if (error === undefined) throw new SyntaxError("missing field `error`");
  if (!isObject(error) || typeof error["code"] !== "number" || typeof error["message"] !== "string") {
    throw new SyntaxError("invalid field `error`");
  }
  return { kind: "error", id: requestId(id, idText), code: error["code"], message: error["message"] };
}

/** The text of a successful answer. */
export function resultText(id: RequestId, result: unknown): string {
  return `{"id":${idText(id)},"result":${JSON.stringify(result)}}`;
}

/** The text of a failure. */
export function errorText(id: RequestId, code: number, message: string): string {
  return `{"id":${idText(id)},"error":${JSON.stringify({ code, message })}}`;
}

/** The text of a request. */
export function requestText(id: RequestId, method: string, params: unknown): string {
  return `{"id":${idText(id)},"method":${JSON.stringify(method)},"params":${JSON.stringify(params ?? null)}}`;
}

/** The text of a notification. */
export function notificationText(method: string, params: unknown): string {
  return `{"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
}

function idText(id: RequestId): string {
  return typeof id === "string" ? JSON.stringify(id) : String(id);
}

function requestId(id: unknown, text: string | undefined): RequestId {
  if (typeof id === "string") return id;
  if (typeof id === "number" && text !== undefined && /^-?\d+$/.test(text)) {
    if (Number.isSafeInteger(id)) return id;
    const exact = BigInt(text);
    if (BigInt.asIntN(64, exact) === exact) return exact;
  }
  throw new SyntaxError("data did not match any variant of untagged enum RequestId");
}

function checkTrace(trace: unknown): void {
  if (trace === undefined || trace === null) return;
  if (!isObject(trace)) throw new SyntaxError(invalidType(trace, "struct W3cTraceContext"));
  for (const member of [trace["traceparent"], trace["tracestate"]]) {
    if (member !== undefined && member !== null && typeof member !== "string") {
      throw new SyntaxError(invalidType(member, "a string"));
    }
  }
}
