/**
 * What JSON.parse lets pass and the wire does not (protocol reference, section 4): duplicate keys, lone surrogates,
 * too deep nesting, too many values. One pass over the text, which costs little because strings, where the bytes
 * are, are skipped with indexOf.
 */
import { MAX_JSON_DEPTH, MAX_JSON_VALUES } from "../protocol/limits.ts";
import { isObject } from "../protocol/method.ts";
import { clip } from "../protocol/quote.ts";

const QUOTE = 34,
  COMMA = 44,
  COLON = 58,
  OPEN_LIST = 91,
  BACKSLASH = 92,
  CLOSE_LIST = 93,
  OPEN_MAP = 123,
  CLOSE_MAP = 125;

/** A parsed text. */
export interface JsonText {
  readonly value: unknown;
  /** The exact text of the top-level member `id`: numbers above 2^53 lose digits in `value`. */
  readonly idText: string | undefined;
}

/** A text of this length cannot be nested too deep, and has not too many values. */
const SHORT_TEXT = 2 * MAX_JSON_DEPTH;

/** Parses strictly. @throws SyntaxError saying what is wrong and where */
export function parseJsonText(text: string): JsonText {
  if (text.length <= SHORT_TEXT) {
    const short = parseCanonical(text);
    if (short) return short;
  }
  const idText = scan(text);
  return { value: JSON.parse(text), idText };
}

/**
 * Most requests are short and come as JSON.stringify writes them. That text has no duplicate keys, which it would not
 * write, and takes half the time. Undefined: it needs a closer look.
 */
function parseCanonical(text: string): JsonText | undefined {
  if (text.includes("\\") || !text.isWellFormed()) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value) === text ? { value, idText: idTextOf(value) } : undefined;
  } catch {
    return undefined;
  }
}

/** Of a text that JSON.stringify wrote. */
function idTextOf(value: unknown): string | undefined {
  return isObject(value) && "id" in value ? JSON.stringify(value["id"]) : undefined;
}

/** Walks the tokens. It does not check the grammar, JSON.parse does; on broken JSON it only must not fail. */
function scan(text: string): string | undefined {
  const open: (Set<string> | null)[] = []; // a set of keys for each open object, null for each open list
  let keyNext = false;
  let values = 0;
  let idFrom = -1;
  let idText: string | undefined;
  let backslash = text.indexOf("\\");
  const fail = (what: string, at: number) => {
    throw new SyntaxError(`${what} at position ${at}`);
  };
  const count = (at: number) => {
    if (++values > MAX_JSON_VALUES) {
      fail(`JSON-RPC message exceeds the limit of ${MAX_JSON_VALUES} JSON values`, at);
    }
  };

  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    switch (c) {
      case 32:
      case 9:
      case 10:
      case 13:
        break;
      case QUOTE: {
        const from = i;
        i = endOfString(text, i, backslash);
        if (i < 0) return undefined; // unterminated: JSON.parse says so
        const escaped = backslash >= 0 && backslash < i;
        const string = escaped || keyNext ? unescape(text.slice(from, i + 1), escaped, from) : "";
        if (escaped) backslash = text.indexOf("\\", i);
        if (!keyNext) {
          count(from);
          break;
        }
        const keys = open.at(-1);
        if (keys?.has(string)) fail(`duplicate JSON object key \`${clip(string)}\``, from);
        keys?.add(string);
        if (string === "id" && open.length === 1) idFrom = i + 1;
        break;
      }
      case OPEN_MAP:
      case OPEN_LIST:
        count(i);
        open.push(c === OPEN_MAP ? new Set() : null);
        keyNext = c === OPEN_MAP;
        if (open.length > MAX_JSON_DEPTH) fail("recursion limit exceeded", i);
        break;
      case CLOSE_MAP:
      case CLOSE_LIST:
      case COMMA:
        if (idFrom >= 0 && open.length === 1) {
          idText = text.slice(idFrom, i).replace(":", "").trim();
          idFrom = -1;
        }
        if (c !== COMMA) open.pop();
        keyNext = c === COMMA && open.at(-1) instanceof Set;
        break;
      case COLON:
        keyNext = false;
        break;
      default:
        count(i);
        while (i + 1 < text.length && !isDelimiter(text.charCodeAt(i + 1))) i++;
    }
  }
  return idText;
}

function isDelimiter(c: number): boolean {
  return c === COMMA || c === CLOSE_LIST || c === CLOSE_MAP || c === 32 || c === 10 || c === 13 || c === 9 ||
    c === QUOTE;
}

/** Index of the closing quote, or -1. */
function endOfString(text: string, start: number, backslash: number): number {
  for (let end = text.indexOf('"', start + 1);; end = text.indexOf('"', end + 1)) {
    if (end < 0 || backslash < 0 || backslash > end) return end;
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end;
  }
}

function unescape(quoted: string, escaped: boolean, at: number): string {
  const string: unknown = escaped ? JSON.parse(quoted) : quoted.slice(1, -1);
  if (typeof string !== "string") throw new SyntaxError(`expected a string at position ${at}`);
  if (!string.isWellFormed()) throw new SyntaxError(`lone surrogate at position ${at}`);
  return string;
}
