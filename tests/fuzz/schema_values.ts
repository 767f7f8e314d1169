/** Values that a valibot schema takes, and the same with one thing changed. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import * as v from "valibot";
import { asSchema, itemOf, stringText, wordsOf } from "../../scripts/docs/schema.ts";
import { EDGE_NUMBERS, HOSTILE_TEXTS, hostileValue } from "./hostile.ts";

const MAX_ITEMS = 3;
/** Keys of maps: variables of an environment, and the ids of processes. */
const KEYS = fc.constantFrom("A", "PATH", "HOME", "LD_PRELOAD", "cat", "done", "__proto__", "", "B=C", "D\0");

/** For members whose schema does not tell what makes sense, by their name at any depth. */
export type Hints = Readonly<Record<string, fc.Arbitrary<unknown>>>;

/**
 * Values that a schema takes; checks behind a list or a map may still refuse one.
 * @throws Error for a kind of schema that it does not know
 */
export function valuesOf(schema: v.GenericSchema, hints: Hints): fc.Arbitrary<unknown> {
  switch (schema.type) {
    case "optional":
      return valuesOf(wrapped(schema), hints);
    case "nullish":
    case "nullable":
      return fc.oneof(
        { weight: 1, arbitrary: fc.constant(null) },
        { weight: 4, arbitrary: valuesOf(wrapped(schema), hints) },
      );
    case "string":
      return textsOf(schema, hints);
    case "number":
      return fc.constantFrom(...EDGE_NUMBERS.filter((number) => v.is(schema, number)));
    case "boolean":
      return fc.boolean();
    case "array":
      return fc.array(valuesOf(itemOf(schema), hints), { maxLength: MAX_ITEMS });
    case "record":
      return fc.dictionary(KEYS, valuesOf(asSchema(Reflect.get(schema, "value")), hints), {
        maxKeys: MAX_ITEMS,
      });
    case "custom": { // a check before a map
      const steps: unknown = Reflect.get(schema, "pipe");
      return valuesOf(asSchema(Array.isArray(steps) ? steps.at(-1) : undefined), hints);
    }
    case "object":
    case "strict_object":
    case "loose_object":
      return membersOf(schema, hints);
    case "picklist":
      return fc.constantFrom(...wordsOf(schema));
    case "literal":
      return fc.constant<unknown>(Reflect.get(schema, "literal"));
    case "unknown":
      return fc.oneof(fc.constant({}), hostileValue);
    default:
      throw new Error(`no values for the schema ${schema.type}: add them to tests/fuzz/schema_values.ts`);
  }
}

function wrapped(schema: v.GenericSchema): v.GenericSchema {
  return asSchema(Reflect.get(schema, "wrapped"));
}

function textsOf(schema: v.GenericSchema, hints: Hints): fc.Arbitrary<unknown> {
  const kind = stringText(schema);
  switch (kind) {
    case "file: URI": {
      const paths = hints["file: URI"];
      if (paths === undefined) throw new Error("a method with paths needs the hint `file: URI`");
      return paths;
    }
    case "base64":
      return fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString("base64"));
    case "UUID":
      return fc.uuid();
    case "time":
      return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
    case "string":
      return fc.oneof(fc.string({ unit: "grapheme", maxLength: 12 }), fc.constantFrom(...HOSTILE_TEXTS));
  }
}

function membersOf(schema: v.GenericSchema, hints: Hints): fc.Arbitrary<unknown> {
  const entries: unknown = Reflect.get(schema, "entries");
  if (typeof entries !== "object" || entries === null) throw new Error("an object schema without entries");
  const members: Record<string, fc.Arbitrary<unknown>> = {};
  const required: string[] = [];
  for (const [name, entry] of Object.entries(entries)) {
    const member = asSchema(entry);
    members[name] = hints[name] ?? valuesOf(member, hints);
    if (member.type !== "optional" && member.type !== "nullish") required.push(name);
  }
  return fc.record(members, { requiredKeys: required, noNullPrototype: true });
}

/** One change to a value. */
interface Change {
  readonly kind: "replace" | "remove" | "add" | "wrap" | "position";
  /** Which of its parts, counted through. */
  readonly part: number;
  readonly value: unknown;
}

const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom("replace", "replace", "replace", "remove", "add", "wrap", "position"),
  part: fc.nat(1_000),
  value: hostileValue,
});

/** Values with one change, so that nearly everything else about them is right. */
export function nearly(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.tuple(values, change).map(([value, how]) => changed(value, how));
}

function changed(value: unknown, { kind, part, value: other }: Change): unknown {
  if (kind === "position") return isMap(value) ? Object.values(value) : [value];
  const parts = count(value);
  let index = part % parts;
  const walk = (one: unknown): unknown => {
    if (index-- === 0) return kind === "wrap" ? [one] : kind === "add" ? added(one, other) : other;
    if (Array.isArray(one)) {
      return one.flatMap((item) => kind === "remove" && index === 0 ? skip() : [walk(item)]);
    }
    if (!isMap(one)) return one;
    return Object.fromEntries(
      Object.entries(one).flatMap(([name, member]) =>
        kind === "remove" && index === 0 ? skip() : [[name, walk(member)]]
      ),
    );
  };
  const skip = () => {
    index--;
    return [];
  };
  return walk(value);
}

function added(one: unknown, other: unknown): unknown {
  if (Array.isArray(one)) return [...one, other];
  return isMap(one) ? { ...one, unknownMember: other } : other;
}

function count(value: unknown): number {
  const members = Array.isArray(value) ? value : isMap(value) ? Object.values(value) : [];
  return members.reduce((sum: number, member) => sum + count(member), 1);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
