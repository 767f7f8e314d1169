/** `{a,b}` in a pattern: written out, so that what remains has no alternatives. */

/** Braces multiply; real patterns have two or three alternatives. */
const MAX_ALTERNATIVES = 64;

/** Every pattern that is meant; undefined when the braces do not match, or mean too many. */
export function alternatives(pattern: string): string[] | undefined {
  const open = nextOf(pattern, 0, "{}");
  if (open === undefined) return [pattern];
  if (pattern[open] === "}") return undefined;
  const parts: string[] = [];
  let depth = 1;
  let from = open + 1;
  let at: number | undefined = open;
  while (depth > 0) {
    at = nextOf(pattern, at + 1, "{},");
    if (at === undefined) return undefined;
    const character = pattern[at];
    if (character === "{") depth++;
    else if (character === "}") depth--;
    if (depth === 0 || (depth === 1 && character === ",")) {
      parts.push(pattern.slice(from, at));
      from = at + 1;
    }
  }
  const all: string[] = [];
  for (const part of parts) {
    const expanded = alternatives(pattern.slice(0, open) + part + pattern.slice(from));
    if (expanded === undefined || all.length + expanded.length > MAX_ALTERNATIVES) return undefined;
    all.push(...expanded);
  }
  return all;
}

/** Where the next of some characters is that is neither escaped nor inside of `[...]`. */
function nextOf(pattern: string, from: number, wanted: string): number | undefined {
  for (let at = from; at < pattern.length; at++) {
    const character = pattern.charAt(at);
    if (wanted.includes(character)) return at;
    if (character === "\\") at++;
    else if (character === "[") at += (/^\[[!^]?\]?[^\]]*\]/.exec(pattern.slice(at))?.[0].length ?? 1) - 1;
  }
  return undefined;
}
