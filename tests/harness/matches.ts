import { isObject } from "./wire_client.ts";

/** What a mask in a recorded string stands for. */
const masks: Record<string, string> = {
  "uuid": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
  "port": "\\d+",
  "hex": "[0-9a-f]{64}",
  "http-date": "\\w{3}, \\d\\d \\w{3} \\d{4} [\\d:]{8} GMT",
  "server-cwd": "[^?#]+",
  "home": "[^?#]+",
  "tmp": "[^?#]+",
  "bundled-path-dir": "[^?#]+",
  "text": "[^]+",
  "version": "\\d+\\.\\d+\\.\\d+(?:-[\\w.]+)?",
};
const numberMasks: Record<string, (n: number) => boolean> = {
  "<ms>": isMilliseconds,
  "<ms or 0>": (n) => n === 0 || isMilliseconds(n),
  "<size>": (n) => Number.isInteger(n) && n >= 0,
  "<up to 65536>": (n) => n > 0 && n <= 65536,
};
/** Behind this text stands the JSON parser's own wording. */
const PARSER_TEXT =
  /^(failed to parse (?:websocket )?JSON-RPC message from exec-server [^:]+(?::(?:\d+|<port>))?: )[^]*$/;

/**
 * Compares with a recorded value, whose strings may hold masks such as `<uuid>`. The answer is undefined when they
 * agree, else the first place where they do not.
 */
export function mismatch(expected: unknown, actual: unknown, at = ""): string | undefined {
  if (typeof expected === "string") return fits(expected, actual) ? undefined : says(at, expected, actual);
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) return says(at, expected, actual);
    return first(expected.keys(), (i) => mismatch(expected[i], actual[i], `${at}[${i}]`));
  }
  if (isObject(expected)) {
    if (!isObject(actual)) return says(at, expected, actual);
    const names = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    return first(names, (name) => mismatch(expected[name], actual[name], `${at}.${name}`));
  }
  return Object.is(expected, actual) ? undefined : says(at, expected, actual);
}

function fits(expected: string, actual: unknown): boolean {
  if (typeof actual === "number") return numberMasks[expected]?.(actual) ?? false;
  if (typeof actual === "boolean") return expected === "<boolean>";
  if (typeof actual !== "string") return false;
  const wanted = expected.replace(PARSER_TEXT, "$1");
  const got = wanted === expected ? actual : actual.replace(PARSER_TEXT, "$1");
  if (!wanted.includes("<")) return wanted === got;
  const pattern = wanted.split(/<([a-z0-9-]+)>/).map((part, i) => {
    if (i % 2 === 0) return escaped(part);
    return masks[part] ?? escaped(`<${part}>`);
  }).join("");
  return new RegExp(`^${pattern}$`).test(got);
}

function isMilliseconds(n: number): boolean {
  return Number.isInteger(n) && n > 1e12 && n < 1e13;
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function first<T>(places: Iterable<T>, look: (place: T) => string | undefined): string | undefined {
  for (const place of places) {
    const found = look(place);
    if (found !== undefined) return found;
  }
  return undefined;
}

function says(at: string, expected: unknown, actual: unknown): string {
  return `${at || "(the whole)"}: expected ${shown(expected)}, got ${shown(actual)}`;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 1_000);
}
