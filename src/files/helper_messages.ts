/**
 * What the server and its file helper say to each other: JSON, one value a line. The helper gets its plan first and
 * answers with a ready line; then each request has an id, and answers come in any order.
 */
import * as v from "valibot";
import type { Plan } from "../sandbox/plan.ts";
import { invalidParams } from "../protocol/error.ts";
import { isObject } from "../protocol/method.ts";

const rule = v.object({
  path: v.string(),
  access: v.picklist(["deny", "read", "write"]),
  kind: v.picklist(["directory", "file", "missing"]),
});

/** What the helper checks paths with: the part of a plan that is about access. */
const policy = v.object({
  base: v.picklist(["deny", "read", "write"]),
  rules: v.array(rule),
  globs: v.array(v.object({
    base: v.string(),
    rest: v.string(),
    depth: v.optional(v.number()),
  })),
});

const opening = v.object({ policy });
const single = v.object({ policy, method: v.string(), params: v.unknown() });
const discard = v.object({ paths: v.array(v.string()) });
const ready = v.object({ ready: v.literal(true) });

/** What may be done where. */
export type HelperPolicy = v.InferOutput<typeof policy>;
/** One request of the helper that is kept alive. */
export interface HelperRequest {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}
/** The request of `--once`. */
export type HelperSingle = v.InferOutput<typeof single>;
/** What became of a request. */
export type HelperAnswer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: number; readonly message: string } };

/** A temporary file that is about to be made, or is settled: gone, or not temporary any more. Its URI. */
export type HelperNotice = { readonly temporary: string } | { readonly settled: string };

/** A request of the server's own: removes temporary files that a helper before left. Params: {@link readDiscard}. */
export const DISCARD = "fs-helper/discard";

/** First line to the helper. */
export function openingText({ base, rules, globs }: Plan): string {
  return `${JSON.stringify({ policy: { base, rules, globs } })}\n`;
}

/** The helper's first line. */
export const READY_TEXT = `${JSON.stringify({ ready: true })}\n`;

/** @throws ExecServerError `INVALID_PARAMS` */
export const readOpening = (line: string): HelperPolicy => read(opening, line).policy;
/** @throws ExecServerError `INVALID_PARAMS` */
export const readSingle = (line: string): HelperSingle => read(single, line);
/** @throws ExecServerError `INVALID_PARAMS` */
export const readDiscard = (params: unknown): readonly string[] => checked(discard, params).paths;
/** @throws ExecServerError `INVALID_PARAMS` */
export const readReady = (line: string): void => void read(ready, line);

/** By hand, as `rpc/envelope.ts` does: it is on the way of each request. @throws ExecServerError `INVALID_PARAMS` */
export function readRequest(line: string): HelperRequest {
  const value = parsed(line);
  if (isObject(value)) {
    const { id, method, params } = value;
    if (typeof id === "number" && typeof method === "string") return { id, method, params };
  }
  throw invalidParams("the line is no request");
}

/** @throws ExecServerError `INVALID_PARAMS` */
export function readAnswer(line: string): HelperAnswer | HelperNotice {
  const value = parsed(line);
  if (isObject(value) && typeof value["temporary"] === "string") return { temporary: value["temporary"] };
  if (isObject(value) && typeof value["settled"] === "string") return { settled: value["settled"] };
  if (isObject(value) && typeof value["id"] === "number") {
    const { id, error } = value;
    if ("result" in value) return { id, result: value["result"] };
    if (isObject(error)) {
      const { code, message } = error;
      if (typeof code === "number" && typeof message === "string") return { id, error: { code, message } };
    }
  }
  throw invalidParams("the line is no answer");
}

function read<T extends v.GenericSchema>(schema: T, line: string): v.InferOutput<T> {
  return checked(schema, parsed(line));
}

function checked<T extends v.GenericSchema>(schema: T, value: unknown): v.InferOutput<T> {
  const found = v.safeParse(schema, value, { abortEarly: true });
  if (found.success) return found.output;
  throw invalidParams(found.issues[0].message);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw invalidParams("the line is no JSON");
  }
}
