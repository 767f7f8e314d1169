/**
 * The vocabulary that the methods' schemas are written in: valibot schemas whose messages read like those of the
 * reference server (`missing field `cwd``, `invalid type: null, expected a string`).
 */
import { validate } from "@std/uuid";
import * as v from "valibot";
import { parsePathUri } from "./path_uri.ts";
import { clip } from "./quote.ts";

/** `invalid type: string "x", expected u64`. */
export function invalidType(input: unknown, expected: string): string {
  return `invalid type: ${describe(input)}, expected ${expected}`;
}

function describe(input: unknown): string {
  if (input === null || input === undefined) return "null";
  if (typeof input === "boolean") return `boolean \`${input}\``;
  if (typeof input === "string") return `string ${JSON.stringify(clip(input))}`;
  if (Array.isArray(input)) return "sequence";
  return typeof input === "object" ? "map" : "number";
}

const typeMessage = (expected: string) => (issue: { input: unknown }): string =>
  invalidType(issue.input, expected);

/** A string. */
export const text = () => v.string(typeMessage("a string"));
/** A boolean. */
export const flag = () => v.boolean(typeMessage("a boolean"));
/** A whole number, 0 or more; above 2^53 as near as a number can be. */
export const unsigned = (expected: "u64" | "usize" | "u32" | "u16" = "u64") =>
  v.pipe(
    v.number(typeMessage(expected)),
    v.check((n) => Number.isInteger(n) && n >= 0, "invalid number"),
  );
/** A whole number within bounds. */
export const within = (least: number, most: number, expected: "u64" | "u32" | "u16" = "u64") =>
  v.pipe(
    unsigned(expected),
    v.check(
      (n) => n >= least && n <= most,
      (issue) => `invalid value: integer \`${issue.input}\`, expected a number from ${least} to ${most}`,
    ),
  );
/** A list. */
export const list = <T extends v.GenericSchema>(item: T) => v.array(item, typeMessage("a sequence"));
/** An object with string keys, all values of one kind. */
export const map = <T extends v.GenericSchema>(value: T) =>
  v.pipe(
    // `v.record` alone takes a list for a map with the keys 0, 1, 2 …
    v.custom<Record<string, v.InferInput<T>>>((input) => !Array.isArray(input), typeMessage("a map")),
    v.record(text(), value, typeMessage("a map")),
  );
/** Absent, null or a value. */
export const maybe = <T extends v.GenericSchema>(schema: T) => v.nullish(schema);
/** Bytes as standard base64 with padding (RFC 4648, section 4); parsed to a `Uint8Array`. */
export const base64 = () =>
  v.pipe(
    text(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const bytes = strictBytes(dataset.value);
      if (bytes) return bytes;
      const problem = base64Problem(dataset.value);
      if (problem === undefined) return bytesOf(dataset.value);
      addIssue({ message: problem });
      return NEVER;
    }),
  );

/** As {@link base64}; bytes themselves are what a binary message brought. */
export const bytesOrBase64 = () =>
  v.union([v.custom<Uint8Array>((input) => input instanceof Uint8Array), base64()]);

/** A UUID in its usual form (RFC 9562). */
export const uuid = () =>
  v.pipe(
    text(),
    v.check((value: string) => validate(value), (issue) => {
      const bad = /[^0-9a-fA-F-]/.exec(issue.input);
      return bad
        ? `invalid character: expected an optional prefix of \`urn:uuid:\` followed by [0-9a-fA-F-], found \`${
          String.fromCodePoint(issue.input.codePointAt(bad.index) ?? 0)
        }\` at ${bad.index + 1}`
        : "invalid UUID";
    }),
  );

/** An object with named members; unknown members are ignored, the first missing one is named. */
export function struct<T extends v.ObjectEntries>(name: string, entries: T) {
  return v.object(entries, (issue) => {
    const key = issue.path?.at(-1)?.key;
    const missing = issue.input === undefined && typeof key === "string" &&
      issue.expected === JSON.stringify(key);
    return missing ? `missing field \`${key}\`` : invalidType(issue.input, `struct ${name}`);
  });
}

/** As {@link struct}, but an unknown member is refused: for what asks to be held to something. */
export function strictStruct<T extends v.ObjectEntries>(name: string, entries: T) {
  const known = Object.keys(entries).map((key) => `\`${key}\``).join(", ");
  return v.strictObject(entries, (issue) => {
    if (issue.expected !== "never") return invalidType(issue.input, `struct ${name}`);
    return `unknown field \`${clip(String(issue.input))}\`, expected one of ${known}`;
  });
}

/** One of a few words. @param summary says what is expected where the words are too many to list */
export function variant<const T extends readonly string[]>(words: T, summary?: string) {
  const expected = summary !== undefined
    ? summary
    : words.length === 1
    ? `\`${words[0]}\``
    : `one of ${words.map((word) => `\`${word}\``).join(", ")}`;
  return v.picklist(
    words,
    (issue) =>
      typeof issue.input === "string"
        ? `unknown variant \`${clip(issue.input)}\`, expected ${expected}`
        : invalidType(issue.input, "string or map"),
  );
}

/** A `file:` URI (protocol reference, section 8), parsed to a normal `URL`. */
export const pathUri = () =>
  v.pipe(
    text(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const parsed = parsePathUri(dataset.value);
      if (typeof parsed !== "string") return parsed;
      addIssue({ message: parsed });
      return NEVER;
    }),
  );

/** Why a text is not base64, in the reference server's words; undefined when it is. */
export function base64Problem(value: string): string | undefined {
  const found = /[^A-Za-z0-9+/]/.exec(value);
  const bad = found && !/^={1,2}$/.test(value.slice(found.index, found.index + 3)) ? found : null;
  if (bad) return `Invalid symbol ${value.codePointAt(bad.index)}, offset ${bad.index}.`;
  return value.length % 4 === 0 ? undefined : "Invalid padding";
}

/** The bytes of a text that is base64 without doubt; undefined where it has to be looked at more closely. */
function strictBytes(text: string): Uint8Array | undefined {
  const bytes = bytesOf(text);
  return bytes.toString("base64") === text ? bytes : undefined; // much faster than to look at each character
}

/** Without a copy: of large writes, each one more costs what a chunk costs. */
function bytesOf(text: string): Buffer {
  return Buffer.from(text, "base64");
}
