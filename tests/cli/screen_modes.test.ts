// What brings a terminal back to what it was, from the output that went to it.
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createScreenModes } from "../../src/cli/screen_modes.ts";

const encoder = new TextEncoder();

function undo(...output: string[]): string {
  const modes = createScreenModes();
  for (const text of output) modes.see(encoder.encode(text));
  return modes.undo();
}

test("nothing is on, nothing is undone", () => {
  assert.is(undo(), "");
  assert.is(undo("hello\r\n\x1b[2J\x1b[3;4H\x1b[K\x1b]0;title\x07\xff"), "");
  assert.is(undo("\x1b[31mred\x1b[0m \x1b[1;4mbold\x1b[m"), "");
  // All that vim does on its way in and out.
  assert.is(
    undo(
      "\x1b[?1049h\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[?25l\x1b[1m",
      "\x1b[m\x1b[?25h\x1b[?2004l\x1b[?1l\x1b>\x1b[?1049l\x1b[>4;m",
    ),
    "",
  );
});

test("what is on is switched off, the alternate screen last", () => {
  assert.is(undo("\x1b[?1049h\x1b[?25l\x1b[?1000;1006h"), "\x1b[?25h\x1b[?1000l\x1b[?1006l\x1b[?1049l");
  assert.is(undo("\x1b[?2004h"), "\x1b[?2004l");
  assert.is(undo("\x1b[?7l"), "\x1b[?7h");
  assert.is(undo("\x1b[1;31m"), "\x1b[0m");
  assert.is(undo("\x1b[0;31m"), "\x1b[0m");
  assert.is(undo("\x1b="), "\x1b>");
  assert.is(undo("\x1b(0"), "\x1b(B");
  assert.is(undo("\x1b[5;20r"), "\x1b7\x1b[r\x1b8");
  assert.is(undo("\x1b[>4;2m"), "\x1b[>4m");
  assert.is(undo("\x1b[6 q"), "\x1b[0 q");
  assert.is(undo("\x1b[>1u\x1b[>5u"), "\x1b[<2u");
});

test("a reset of the whole terminal is known, and so is what comes after it", () => {
  assert.is(undo("\x1b[?1049h\x1b[31m\x1bc"), "");
  assert.is(undo("\x1b[?25l\x1b[!p\x1b[?1000h"), "\x1b[?1000l");
});

test("in the middle of a sequence the rest is cancelled first", () => {
  assert.is(undo("\x1b[?25l\x1b[3"), "\x18\x1b[?25h");
  assert.is(undo("\x1b"), "\x18");
});

test("it is done once", () => {
  const modes = createScreenModes();
  modes.see(encoder.encode("\x1b[?25l"));
  assert.is(modes.undo(), "\x1b[?25h");
  assert.is(modes.undo(), "");
});

test("it does not matter how the output is cut, or what else is in it", () => {
  const piece = fc.constantFrom(
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[?25l",
    "\x1b[31m",
    "\x1b[",
    "\x1b",
    "\x1b(0",
    "\x1bc",
    "text",
    "ü",
    "9;9;9",
    "m",
  );
  fc.assert(fc.property(fc.array(piece), fc.array(fc.nat({ max: 6 })), (pieces, cuts) => {
    const text = pieces.join("");
    const cut: string[] = [];
    let at = 0;
    for (const length of cuts) cut.push(text.slice(at, at += length));
    assert.is(undo(...cut, text.slice(at)), undo(text));
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1000 }), (bytes) => {
    const modes = createScreenModes();
    modes.see(bytes);
    modes.undo();
    assert.is(modes.undo().replace("\x18", ""), "");
  }));
});

test.run();
