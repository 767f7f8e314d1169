import { MAX_QUOTED_CHARS } from "./limits.ts";

/** The peer's text, cut to {@link MAX_QUOTED_CHARS} characters so that an error never echoes a megabyte. */
export function clip(text: string): string {
  if (text.length <= MAX_QUOTED_CHARS) return text;
  // Cutting a surrogate pair in two would make a text that is not valid JSON for strict parsers.
  const end = /[\uD800-\uDBFF]/.test(text.charAt(MAX_QUOTED_CHARS - 1))
    ? MAX_QUOTED_CHARS - 1
    : MAX_QUOTED_CHARS;
  return `${text.slice(0, end)}…`;
}
