/** Values that are hard on whoever did not think of them. All can be written as JSON. */
import fc from "fast-check";
import { INJECTIONS } from "./places.ts";

const LONG = 5_000;
const DEEP = 60;

/** Texts. No lone surrogates: a message that has one is refused as a whole (see envelope_area.ts). */
export const HOSTILE_TEXTS: readonly string[] = [
  "",
  " ",
  "\0",
  "a\0b",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "-1",
  "1e309",
  "NaN",
  "null",
  "a=b",
  "=",
  "--help",
  "-",
  "*",
  "~",
  "%00",
  "%s%n%d",
  "../..",
  "\r\nX: y",
  "\u001b[2J",
  "\u202e\ufeff\u0000",
  "\u{10ffff}ü🙂",
  "x".repeat(LONG),
  "🙂".repeat(LONG),
  ...INJECTIONS,
];

/** Numbers at the edges of what formats and timers hold. */
export const EDGE_NUMBERS: readonly number[] = [
  0,
  -0,
  1,
  2,
  -1,
  0.5,
  1e-320,
  127,
  255,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 63,
  2 ** 64 - 2048,
  2 ** 64,
  1e308,
  -(2 ** 31),
  -(2 ** 53),
];

const deepList: unknown = JSON.parse("[".repeat(DEEP) + "]".repeat(DEEP));
const withProto: unknown = JSON.parse('{"__proto__":{"type":"disabled"},"constructor":1,"length":-1}');

/** Anything where something else is expected. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom<unknown>(null, true, false, [], {}, [[]], [null], { length: 1e9 }),
  },
  { weight: 1, arbitrary: fc.constantFrom<unknown>(deepList, withProto, Array(500).fill(0)) },
  { weight: 4, arbitrary: fc.constantFrom(...EDGE_NUMBERS) },
  { weight: 4, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }) },
);

/** Places below the scratch folder: plain ones, missing ones, links, and other ways to write them. */
export const SCRATCH_URIS: readonly string[] = [
  "file://{W}",
  "file://{W}/",
  "file://{W}/file",
  "file://{W}/empty",
  "file://{W}/missing",
  "file://{W}/missing/below",
  "file://{W}/file/below",
  "file://{W}/dir",
  "file://{W}/dir/",
  "file://{W}/dir/sub/deep",
  "file://{W}/dlink",
  "file://{W}/dlink/sub/deep",
  "file://{W}/link",
  "file://{W}/broken",
  "file://{W}/loop",
  "file://{W}/loop/x",
  "file://{W}/.git",
  "file://{W}/.git/config",
  "file://{W}/bad%FF",
  "file://{W}/spa%20ce%20%C3%BC%2541.txt",
  "file://{W}/%F0%9F%99%82",
  "file://{W}/a%0Ab",
  "file://{W}/%2e%2e/d/file",
  "file://{W}/..%2F..%2Fc/d/file",
  "file://{W}/dir/../../d/./file",
  "file://{W}/../../../../fifo",
  "file://{W}/../../../../deep",
  "file://{W}//dir///sub",
  "file://{W}/dir%2Fsub",
  "file://{W}/dir\\sub",
  "file://localhost{W}/file",
  "FILE://{W}/file",
  "file://{W}/%00",
  "file://{W}/file#x",
  "file://{W}/file?x",
  "file://{W}/%",
  "file://{W}/%zz",
  `file://{W}/${"n".repeat(255)}`,
  `file://{W}/${"n".repeat(256)}`,
  `file://{W}/${"d/".repeat(1_900)}`,
  `file://{W}/${`${"n".repeat(200)}/`.repeat(25)}`,
  ...INJECTIONS.map((text) => `file://{W}/${encodeURIComponent(text.replaceAll("{W}", ""))}`),
];

/** Elsewhere, for methods that only look. */
export const FOREIGN_URIS: readonly string[] = [
  "file:///",
  "file:///etc/passwd",
  "file:///etc/shadow",
  "file:///root",
  "file:///dev/null",
  "file:///dev/zero",
  "file:///dev/tty",
  "file:///proc/self/status",
  "file:///proc/self/environ",
  "file:///proc/self/fd",
  "file:///proc/1/root",
  "file:///sys/kernel",
  "file:///usr/bin",
];

/** Texts that are no path of this machine, whatever is done with them. */
export const NO_URIS: readonly string[] = [
  "http://localhost/",
  "file//x",
  "/etc",
  "",
  "data:,x",
  "%66ile:///",
  "javascript:1",
  "ws://127.0.0.1:1/",
];
