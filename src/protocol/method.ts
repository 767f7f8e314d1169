/** A method of the wire is a value: its name, the schema of its params and the schema of its result. */
import * as v from "valibot";
import { invalidParams } from "./error.ts";
import { invalidType } from "./schema.ts";

/** What a request may not be used before the handshake for; names the area in the error text. */
export type Area =
  | "exec"
  | "filesystem"
  | "http"
  | "environment info"
  | "environment status"
  | "environment config"
  | "capability discovery";

/** A request that the client sends and the server answers. */
export interface Method<
  P extends v.GenericSchema = v.GenericSchema,
  R extends v.GenericSchema = v.GenericSchema,
> {
  readonly name: string;
  /** The name of the params' structure as it appears in error texts; undefined for methods without params. */
  readonly struct: string | undefined;
  readonly area: Area;
  readonly params: P;
  readonly result: R;
  /** Asked twice it does what it does once: a client may ask again when the answer was lost with the connection. */
  readonly repeatable: boolean;
}

/** Says that a request may be asked again when its answer was lost. */
export function repeatable<P extends v.GenericSchema, R extends v.GenericSchema>(
  one: Method<P, R>,
): Method<P, R> {
  return { ...one, repeatable: true };
}

/** A message without an answer. */
export interface Notification<P extends v.GenericSchema = v.GenericSchema> {
  readonly name: string;
  readonly params: P;
}

/** The schema of an object with named members, as `struct()` in `schema.ts` makes it. */
interface StructSchema extends v.GenericSchema {
  readonly entries: v.ObjectEntries;
}

/** Declares a request whose params are an object. */
export function method<P extends StructSchema, R extends v.GenericSchema>(
  name: string,
  area: Area,
  structName: string,
  params: P,
  result: R,
): Method<P, R> {
  return { name, struct: structName, area, params, result, repeatable: false };
}

/** Declares a request without params: absent, null and `{}` are accepted. */
export function unitMethod<R extends v.GenericSchema>(
  name: string,
  area: Area,
  result: R,
): Method<typeof unit, R> {
  return { name, struct: undefined, area, params: unit, result, repeatable: true };
}

const unit = v.pipe(
  v.unknown(),
  v.check(
    (input) => input === undefined || input === null || (isObject(input) && Object.keys(input).length === 0),
    (issue) => invalidType(issue.input, "unit"),
  ),
);

/** True for an object of JSON: no list, not null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The params of a request as its handler wants them.
 * @throws ExecServerError `INVALID_PARAMS` (-32602) in the words of the reference server
 */
export function decodeParams<P extends v.GenericSchema>(
  declaration: Method<P> | Notification<P>,
  raw: unknown,
): v.InferOutput<P> {
  let input = raw;
  if ("struct" in declaration && declaration.struct !== undefined) {
    if (Array.isArray(raw) && "entries" in declaration.params) input = named(declaration.params.entries, raw);
    else if (!isObject(raw)) throw invalidParams(invalidType(raw, `struct ${declaration.struct}`));
  }
  const parsed = v.safeParse(declaration.params, input, { abortEarly: true });
  if (parsed.success) return parsed.output;
  throw invalidParams(parsed.issues[0].message);
}

/** The params of a request by their names, also when they came by position; nothing is checked. */
export function membersOf(declaration: Method, raw: unknown): Record<string, unknown> {
  if (Array.isArray(raw) && "entries" in declaration.params) return named(declaration.params.entries, raw);
  return isObject(raw) ? raw : {};
}

/** Positional params, as the reference server takes them, by the order of the declaration. */
function named(entries: unknown, values: unknown[]): Record<string, unknown> {
  const keys = isObject(entries) ? Object.keys(entries) : [];
  return Object.fromEntries(keys.slice(0, values.length).map((key, index) => [key, values[index]]));
}
