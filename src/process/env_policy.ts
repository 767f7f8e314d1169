/** What a child's environment is made of (protocol reference, section 10, "Environment"). */
import { NEVER_INHERITED } from "./own_secrets.ts";
import type { EnvPolicy } from "./trait.ts";

const CORE = [
  "HOME",
  "LOGNAME",
  "USER",
  "PATH",
  "SHELL",
  "TMPDIR",
  "TEMP",
  "TMP",
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
];
const LOOKS_SECRET = ["*KEY*", "*SECRET*", "*TOKEN*"];

/**
 * The exact environment of a child.
 * @param policy absent: nothing is inherited
 * @param own the server's own environment
 * @param env laid on top, never filtered
 */
export function childEnvironment(
  policy: EnvPolicy | null | undefined,
  own: Readonly<Record<string, string | undefined>>,
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  const result: Record<string, string> = {};
  if (policy) {
    const drop = globs([...(policy.ignoreDefaultExcludes ? [] : LOOKS_SECRET), ...policy.exclude]);
    const keep = policy.includeOnly.length === 0 ? () => true : globs(policy.includeOnly);
    for (const [name, value] of Object.entries(own)) {
      if (value === undefined || NEVER_INHERITED.has(name)) continue;
      if (policy.inherit === "none" || (policy.inherit === "core" && !CORE.includes(name))) continue;
      if (!drop(name) && keep(name)) result[name] = value;
    }
    for (const [name, value] of Object.entries(policy.set)) {
      if (keep(name)) result[name] = value;
    }
  }
  return Object.assign(result, env);
}

function globs(patterns: readonly string[]): (name: string) => boolean {
  const upper = patterns.map((pattern) => pattern.toUpperCase());
  return (name) => {
    const subject = name.toUpperCase();
    return upper.some((pattern) => matches(pattern, subject));
  };
}

/** `*` and `?` without a regular expression: a peer's pattern must not be able to backtrack for minutes. */
function matches(pattern: string, subject: string): boolean {
  let p = 0, s = 0, star = -1, resume = 0;
  while (s < subject.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      resume = s;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === subject[s])) {
      p++;
      s++;
    } else if (star >= 0) {
      p = star + 1;
      s = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
