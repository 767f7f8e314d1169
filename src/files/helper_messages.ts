/**
 * What the server and its file helper say to each other: JSON, one value a line. The helper gets its plan first and
 * answers with a ready line; then each request has an id, and answers come in any order.
 */
import * as v from "valibot";
import type { Plan } from "../sandbox/plan.ts";
import { invalidParams } from "../protocol/error.ts";

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
const request = v.object({ id: v.number(), method: v.string(), params: v.unknown() });
const single = v.object({ policy, method: v.string(), params: v.unknown() });
const ready = v.object({ ready: v.literal(true) });
const answer = v.union([
  v.object({ id: v.number(), result: v.unknown() }),
  v.object({ id: v.number(), error: v.object({ code: v.number(), message: v.string() }) }),
]);

/** What may be done where. */
export type HelperPolicy = v.InferOutput<typeof policy>;
/** One request of the helper that is kept alive. */
export type HelperRequest = v.InferOutput<typeof request>;
/** The request of `--once`. */
export type HelperSingle = v.InferOutput<typeof single>;
/** What became of a request. */
export type HelperAnswer = v.InferOutput<typeof answer>;

/** First line to the helper. */
export function openingText({ base, rules, globs }: Plan): string {
  return `${JSON.stringify({ policy: { base, rules, globs } })}\n`;
}

/** The helper's first line. */
export const READY_TEXT = `${JSON.stringify({ ready: true })}\n`;

/** @throws ExecServerError `INVALID_PARAMS` */
export const readOpening = (line: string): HelperPolicy => read(opening, line).policy;
/** @throws ExecServerError `INVALID_PARAMS` */
export const readRequest = (line: string): HelperRequest => read(request, line);
/** @throws ExecServerError `INVALID_PARAMS` */
export const readSingle = (line: string): HelperSingle => read(single, line);
/** @throws ExecServerError `INVALID_PARAMS` */
export const readReady = (line: string): void => void read(ready, line);
/** @throws ExecServerError `INVALID_PARAMS` */
export const readAnswer = (line: string): HelperAnswer => read(answer, line);

function read<T extends v.GenericSchema>(schema: T, line: string): v.InferOutput<T> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw invalidParams("the line is no JSON");
  }
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  throw invalidParams(parsed.issues[0].message);
}
