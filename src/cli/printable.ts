/** Texts of others on a terminal of ours: they must not act on it. */

/** Control and format characters (also those that reorder text), lone surrogates, line separators. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
/** What a shell takes as it is. */
const PLAIN = /^[\w@%+=:,./\-\u{a1}-\u{10ffff}]+$/u;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text with what is invisible written as `\x1b` or `\u{202e}`; lines stay lines. */
export function printable(text: string): string {
  return [...text].map((each) => each === "\n" || !INVISIBLE.test(each) ? each : escaped(each)).join("");
}

/** An argument as a shell would read it back, in visible characters only (bash(1), QUOTING). */
export function shellQuoted(argument: string): string {
  const visible = !INVISIBLE.test(argument);
  if (visible && PLAIN.test(argument)) return argument;
  if (visible) return `'${argument.replaceAll("'", "'\\''")}'`;
  const quote = (each: string) => INVISIBLE.test(each) ? escaped(each) : each.replace(/[\\']/, "\\$&");
  return `$'${[...argument].map(quote).join("")}'`;
}

/** A command as a shell would read it back. */
export function shellCommand(argv: readonly string[]): string {
  return argv.map(shellQuoted).join(" ");
}

/** JSON in which no character can act on a terminal; it means the same. */
export function terminalJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  return [...text].map((each) => each === "\n" || !INVISIBLE.test(each) ? each : jsonEscaped(each)).join("");
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code > 0xffff) return `\\U${hex.padStart(8, "0")}`;
  return SHORT[character] ?? (code < 0x80 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`);
}

function jsonEscaped(character: string): string {
  return Array.from(
    { length: character.length },
    (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`,
  ).join("");
}
