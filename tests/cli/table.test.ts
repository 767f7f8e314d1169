// Texts of others on our terminal: aligned, cut, and without effect.
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { signalOf } from "../../src/cli/kill.ts";
import { printable, shellCommand, shellQuoted, terminalJson } from "../../src/cli/printable.ts";
import { displayWidth, table } from "../../src/cli/table.ts";

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

test("what a shell would take is not quoted, the rest is", () => {
  assert.is(shellCommand(["ls", "-l", "/tmp/a_b.c", "x=1", "Äpfel"]), "ls -l /tmp/a_b.c x=1 Äpfel");
  assert.is(shellCommand(["echo", "", "a b", "$HOME", "it's", "~"]), "echo '' 'a b' '$HOME' 'it'\\''s' '~'");
  assert.is(shellQuoted("\x1b]0;x\x07\n'\\"), "$'\\x1b]0;x\\x07\\n\\'\\\\'");
  assert.is(shellQuoted("\x9b31m\u202e"), "$'\\u009b31m\\u202e'");
  assert.is(printable("a\nb\x1b[31m"), "a\nb\\x1b[31m");
});

test("a shell reads back what was quoted", () => {
  const argument = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0"));
  const argv = fc.array(fc.oneof(argument, fc.constantFrom("\x1b[31m", "\x7f", "a\nb", "\u202e", "'", "\\")));
  fc.assert(
    fc.property(argv, (args) => {
      const quoted = shellCommand(args);
      assert.not.match(quoted, INVISIBLE);
      const out = execFileSync("/bin/bash", ["--norc", "-c", `printf '%s\\0' x ${quoted}`], {
        encoding: "utf8",
        env: { LC_ALL: "C.UTF-8" },
      });
      assert.equal(out.split("\0").slice(1, -1), args);
    }),
    { numRuns: 30 },
  );
});

test("JSON means the same and shows no control character", () => {
  const value = { argv: ["\x1b[31m", "\x9b", "\u202e", "\u2028", "ü🙂", "\u{e0001}"], none: null };
  const text = terminalJson(value);
  assert.equal(JSON.parse(text), value);
  assert.not.match(text.replaceAll("\n", ""), INVISIBLE);
});

test("columns are aligned, also with wide characters, and cut to the width", () => {
  const columns = [{ title: "NAME" }, { title: "N", right: true }, { title: "COMMAND" }];
  const rows = [["a", "1", "short"], ["漢字漢", "200", "a long command line"]];
  assert.equal(table(columns, rows, undefined), [
    "NAME      N  COMMAND",
    "a         1  short",
    "漢字漢  200  a long command line",
  ]);
  const cut = table(columns, rows, 18);
  assert.equal(cut, ["NAME      N  COMM…", "a         1  short", "漢字漢  200  a lo…"]);
  for (const line of cut) assert.is(displayWidth(line), 18);
  assert.equal(table(columns, [["x", "1", "漢字漢字漢字"]], 14)[1], "x     1  漢字…");
});

test("signals by any name", () => {
  for (const name of ["TERM", "SIGTERM", "term", "sigterm", "15"]) assert.is(signalOf(name), "SIGTERM");
  assert.is(signalOf("9"), "SIGKILL");
  assert.is(signalOf("SEGV"), "SIGSEGV");
  for (const name of ["", "0", "SIG", "TERMINATE", "SIGSIGTERM", "99", "-9"]) {
    assert.throws(() => signalOf(name), /unknown signal/);
  }
});

test.run();
