/**
 * Arguments for the audit log, without what looks like a secret. docs/audit.md says what is promised; whatever has
 * none of these shapes stays.
 */
import { createHash } from "node:crypto";

/** What stands where a secret was. */
export const REDACTED = "[redacted]";
/** An argument that is longer is not shown: a secret must not be cut so that nobody knows it for one. */
const MAX_ARGUMENT_CHARS = 4_096;
/** All arguments of a process together. */
const MAX_ARGV_CHARS = 32_768;

const NAMES =
  "passw(?:or)?d|passphrase|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|" +
  "authorization";
const VALUE = `(?:"[^"]*"|'[^']*'|[^\\s"']+)`;

/** Each with what is kept as `$1`. The repetitions are bounded: an argument must not cost more than its length. */
const SHAPES: readonly RegExp[] = [
  // In the order of their use: a header's value is more than its first word.
  /(\b(?:bearer|basic)\s{1,8})[A-Za-z0-9+/=._~-]{4,}/gi,
  new RegExp(`((?:${NAMES})[\\w-]{0,64}["']?\\s{0,8}[=:]\\s{0,8})${VALUE}`, "gi"),
  new RegExp(`(--[\\w-]{0,64}(?:${NAMES})[\\w-]{0,64}\\s{1,8})${VALUE}`, "gi"),
  /(\b[a-z][a-z0-9+.-]{0,31}:\/\/)[^\s/?#@"']{1,512}(?=@)/gi, // user and password of a URL
  /(\b(?:https?|wss?):\/\/[^\s?#"']{1,2048}\?)[^\s#"']+/gi, // the query of a URL
  /()\b(?:gh[pousr]_|github_pat_|glpat-|sk-|sk_live_|xox[abeprs]-|npm_|AKIA|ASIA)[\w-]{12,}/g,
  /()\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*/g, // JSON Web Token
  /(-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----)[^-]*/g,
];
/** An option whose value is the next argument. */
const TAKES_SECRET = new RegExp(`^--?[\\w-]{0,64}(?:${NAMES})[\\w-]{0,64}$`, "i");

/** Program and arguments as a `process.start` line shows them. */
export interface ShownArgv {
  readonly argvSha256: string;
  readonly argv?: string[];
  readonly argvOmitted?: number;
}

/** SHA-256 of program and arguments; with `full` also themselves, redacted. */
export function shownArgv(argv: readonly string[], full: boolean): ShownArgv {
  const hash = createHash("sha256");
  for (const argument of argv) hash.update(argument).update("\0");
  const argvSha256 = hash.digest("hex");
  if (!full) return { argvSha256 };
  const shown: string[] = [];
  let chars = 0;
  for (const [at, argument] of argv.entries()) {
    const text = TAKES_SECRET.test(argv[at - 1] ?? "") && !argument.startsWith("-")
      ? REDACTED
      : redacted(argument);
    // What was looked through counts, not only what is shown of it: that bounds the work.
    chars += Math.max(text.length, Math.min(argument.length, MAX_ARGUMENT_CHARS)) + 1;
    if (chars > MAX_ARGV_CHARS) return { argvSha256, argv: shown, argvOmitted: argv.length - at };
    shown.push(text);
  }
  return { argvSha256, argv: shown };
}

function redacted(argument: string): string {
  if (argument.length > MAX_ARGUMENT_CHARS) return `[${argument.length} characters]`;
  return SHAPES.reduce((text, shape) => text.replace(shape, `$1${REDACTED}`), argument);
}
