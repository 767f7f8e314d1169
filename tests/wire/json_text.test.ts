// Short texts are parsed in a quicker way than long ones: both say the same of every text.
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseJsonText } from "../../src/rpc/json_text.ts";

/** White space behind it makes a text long, and means nothing. */
const LONG = " ".repeat(300);
const said = (text: string) => {
  try {
    return parseJsonText(text);
  } catch (error) {
    return error instanceof SyntaxError ? "refused" : error;
  }
};

test("of every JSON value, and of texts that are almost JSON", () => {
  const pieces = fc.constantFrom(
    ...'{}[],:"\\ \t0123456789.eE+-',
    '"id"',
    '"a"',
    "null",
    "true",
    "\\u0041",
    "\\ud800",
    "é",
  );
  const broken = fc.array(pieces, { maxLength: 40 }).map((some) => some.join(""));
  fc.assert(
    fc.property(fc.oneof(fc.json(), broken, broken.map((text) => `{"id":${text}}`)), (text) => {
      assert.equal(said(text), said(text + LONG));
    }),
    { numRuns: 5_000 },
  );
});

for (
  const text of [
    '{"id":1,"id":1}',
    '{"a":{"b":1,"b":1}}',
    '{"id":1,"\\u0069d":2}',
    '{"id":"\\ud800"}',
    '{"id":"\ud800"}',
    '{"id":9007199254740993}',
    '{"id":9223372036854775807}',
    '{"id":1.0}',
    '{"id":-0}',
    '{"id":1e2}',
    '{"id":7,"b":{"id":8}}',
    '{"2":1,"1":2,"id":3}',
    '{"__proto__":1,"__proto__":1}',
    `${"[".repeat(127)}${"]".repeat(127)}`,
    `${"[".repeat(128)}${"]".repeat(128)}`,
  ]
) {
  test(`of ${text.slice(0, 40)}`, () => assert.equal(said(text), said(text + LONG)));
}
test.run();
