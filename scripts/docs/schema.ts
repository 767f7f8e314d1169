/** Says in words what a valibot schema takes. */
import * as v from "valibot";

/** A member of an object, however deep: `options.maxDepth`, `entries[].path`. */
export interface Member {
  readonly name: string;
  readonly type: string;
  /** May be absent. */
  readonly optional: boolean;
  /** What counts when it is absent. */
  readonly fallback: unknown;
}

/** The members of an object schema, those of nested objects behind their owner; none for other schemas. */
export function members(schema: v.GenericSchema, prefix = ""): Member[] {
  const entries = Reflect.get(schema, "entries");
  if (typeof entries !== "object" || entries === null) return [];
  return Object.entries(entries).flatMap(([key, entry]: [string, unknown]) => {
    const { inner, optional, nullable, fallback } = unwrap(asSchema(entry));
    const name = `${prefix}${key}`;
    const type = `${typeText(inner)}${nullable ? " | null" : ""}`;
    const [nested, infix] = inner.type === "array" ? [itemOf(inner), "[]."] : [inner, "."];
    if (key === "sandbox") return [{ name, type, optional, fallback }]; // the same in a dozen methods, and long
    return [{ name, type, optional, fallback }, ...members(nested, `${name}${infix}`)];
  });
}

function unwrap(schema: v.GenericSchema) {
  let inner = schema;
  let optional = false, nullable = false;
  let fallback: unknown;
  while (["optional", "nullish", "nullable"].includes(inner.type)) {
    optional ||= inner.type !== "nullable";
    nullable ||= inner.type !== "optional";
    fallback ??= Reflect.get(inner, "default");
    inner = asSchema(Reflect.get(inner, "wrapped"));
  }
  return { inner, optional, nullable, fallback };
}

function typeText(schema: v.GenericSchema): string {
  switch (schema.type) {
    case "string":
      return stringText(schema);
    case "boolean":
      return "boolean";
    case "number":
      return v.is(schema, 0.5) ? "number" : "whole number, not negative";
    case "array":
      return `${typeText(itemOf(schema))}[]`;
    case "custom": { // a check before a map
      const steps: unknown = Reflect.get(schema, "pipe");
      return typeText(asSchema(Array.isArray(steps) ? steps.at(-1) : undefined));
    }
    case "record":
      return `{string: ${typeText(asSchema(Reflect.get(schema, "value")))}}`;
    case "object":
    case "loose_object":
    case "strict_object":
    case "lazy": // an object whose kind one of its members tells
      return "object";
    case "union": // of what the wire has and what binary messages bring
      return typeText(asSchema(optionsOf(schema).at(-1)));
    case "picklist":
      return wordsOf(schema).map((word) => JSON.stringify(word)).join(" | ");
    case "unknown":
      return "any";
    default:
      throw new Error(`no words for the schema ${schema.type}: add them to scripts/docs/schema.ts`);
  }
}

/** The checks of a string are functions, so samples have to tell which kind it is. */
export function stringText(schema: v.GenericSchema): "file: URI" | "base64" | "string" | "time" | "UUID" {
  const uri = v.safeParse(schema, "file:///a");
  if (uri.success && uri.output instanceof URL) return "file: URI";
  const bytes = v.safeParse(schema, "aGk=");
  if (bytes.success && bytes.output instanceof Uint8Array) return "base64";
  if (v.is(schema, "any text")) return "string";
  if (v.is(schema, "01234567-89ab-4cde-8f01-23456789abcd")) return "UUID";
  if (v.is(schema, "2026-01-01T00:00:00.000Z")) return "time";
  throw new Error("an unknown kind of string: add it to scripts/docs/schema.ts");
}

/** What an array schema takes as its items. */
export function itemOf(schema: v.GenericSchema): v.GenericSchema {
  return asSchema(Reflect.get(schema, "item"));
}

/** The words of a picklist. */
export function wordsOf(schema: v.GenericSchema): unknown[] {
  return optionsOf(schema);
}

function optionsOf(schema: v.GenericSchema): unknown[] {
  const options: unknown = Reflect.get(schema, "options");
  return Array.isArray(options) ? options : [];
}

/** A value that has to be a schema. @throws Error when it is none */
export function asSchema(value: unknown): v.GenericSchema {
  if (isSchema(value)) return value;
  throw new Error("not a valibot schema");
}

/** True for a valibot schema. */
export function isSchema(value: unknown): value is v.GenericSchema {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";
}
