// Escapes: what a person asks of us among the keys, wherever the pieces of input are cut.
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createEscapes, escapeCharacter, type Typed } from "../../src/cli/escape.ts";

const TILDE = 0x7e;
const encoder = new TextEncoder();
const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);

/** Keys as texts, commands in brackets; pieces of keys joined. */
function meaning(pieces: readonly Uint8Array[], character: number | undefined): string {
  const escapes = createEscapes(character);
  const show = (typed: Typed) => typeof typed === "string" ? `[${typed}]` : text(typed);
  return pieces.flatMap((piece) => escapes.feed(piece)).map(show).join("");
}

const typed = (keys: string) => meaning([encoder.encode(keys)], TILDE);

test("a command stands at the beginning of a line", () => {
  assert.is(typed("~."), "[leave]");
  assert.is(typed("ls\r~."), "ls\r[leave]");
  assert.is(typed("ls\n~d"), "ls\n[detach]");
  assert.is(typed("ls ~."), "ls ~.");
  assert.is(typed("\r~?~\x1a"), "\r[help][suspend]"); // the line has not begun yet
  assert.is(typed("~?x~."), "[help]x~.");
});

test("twice is once, and what is no command is text", () => {
  assert.is(typed("~~"), "~");
  assert.is(typed("~~."), "~.");
  assert.is(typed("~/bin\r"), "~/bin\r");
  assert.is(typed("~x~."), "~x~.");
  assert.is(typed("~\r~."), "~\r[leave]");
});

test("pasted text is text", () => {
  assert.is(typed("\x1b[200~\n~.\n~d\x1b[201~\r~."), "\x1b[200~\n~.\n~d\x1b[201~\r[leave]");
  assert.is(typed("\x1b[200 ~\r~."), "\x1b[200 ~\r[leave]");
  assert.is(typed("\x1b\x1b[200~\r~."), "\x1b\x1b[200~\r~.");
});

test("another character, or none", () => {
  assert.is(meaning([encoder.encode("~.\x1d.")], 0x1d), "~.\x1d.");
  assert.is(meaning([encoder.encode("\x1d.")], 0x1d), "[leave]");
  assert.is(meaning([encoder.encode("~.\r~~")], undefined), "~.\r~~");
});

test("it does not matter how the input is cut", () => {
  const key = fc.constantFrom(..."~.d?\r\nx\x1a\x1b[201", "\x1b[200~", "\x1b[201~", "\xff");
  fc.assert(fc.property(fc.array(key), fc.array(fc.nat({ max: 5 })), (keys, cuts) => {
    const bytes = Uint8Array.from([...keys.join("")].map((each) => each.charCodeAt(0)));
    const pieces: Uint8Array[] = [];
    let at = 0;
    for (const cut of cuts) pieces.push(bytes.subarray(at, at += cut));
    pieces.push(bytes.subarray(at));
    assert.is(meaning(pieces, TILDE), meaning([bytes], TILDE));
    assert.is(meaning(pieces, undefined), text(bytes));
  }));
});

test("without the character nothing is touched", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array()), (pieces) => {
    const clean = pieces.map((piece) => piece.filter((byte) => byte !== TILDE));
    assert.is(meaning(clean, TILDE), clean.map(text).join(""));
  }));
});

test("how the character is written", () => {
  const cases: [string, number | undefined | null][] = [
    ["~", TILDE],
    ["^]", 0x1d],
    ["^a", 1],
    ["^A", 1],
    ["^", 0x5e],
    ["none", undefined],
    ["", null],
    ["ab", null],
    ["ü", null],
    [" ", null],
  ];
  for (const [written, code] of cases) assert.is(escapeCharacter(written), code, written);
});

test.run();
