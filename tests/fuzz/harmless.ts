/**
 * The last check before a request goes out. The generators make nothing that could do harm where the tests run; this
 * does not believe them, nor a corpus that somebody edits.
 */
import { CLIMB } from "./places.ts";

/** Programs that only print or do nothing, whatever their arguments are. */
const ANY_ARGUMENTS: ReadonlySet<string> = new Set(["echo", "true", "false", "printf"]);

/** Whole commands. */
export const COMMANDS: readonly (readonly string[])[] = [
  ["true"],
  ["false"],
  ["echo", "hello"],
  ["cat"],
  ["pwd"],
  ["env"],
  ["stty", "size"],
  ["sleep", "0.01"],
  ["sleep", "600"],
  ["head", "-c", "300000", "/dev/zero"],
  ["sh", "-c", "exit 3"],
  ["sh", "-c", "kill -9 $$"],
  ["sh", "-c", "kill -STOP $$"],
  ["sh", "-c", "echo out; echo err >&2"],
  ["sh", "-c", "trap '' TERM HUP; sleep 600"],
  ["sh", "-c", "sleep 600 & echo $!"],
  ["sh", "-c", "setsid sleep 600 & exit 0"],
  ["sh", "-c", "read line; echo $line"],
  ["sh", "-c", "exec 0<&- 1>&- 2>&-; sleep 0.02"],
  ["sh", "-c", "head -c 3000000 /dev/zero; sleep 600"],
  ["/missing/program"],
  ["no-such-program"],
  ["{W}/file"],
  ["{W}/dir"],
  ["{W}/link"],
  ["{W}/loop"],
  [""],
  [],
];

/** Methods that only look: they may be given any path. */
const LOOKING: ReadonlySet<string> = new Set([
  "fs/readFile",
  "fs/getMetadata",
  "fs/canonicalize",
  "fs/readDirectory",
  "fs/walk",
]);

/** True when a request, still with `{W}` in it, can do no harm. */
export function isHarmless(method: string, params: unknown): boolean {
  if (method === "process/start") {
    return commandsIn(params).every((argv) =>
      ANY_ARGUMENTS.has(argv[0] ?? "") || COMMANDS.some((known) => sameWords(known, argv))
    );
  }
  return LOOKING.has(method) || textsIn(params).every(staysBelow);
}

/** Every list of texts that could be taken for `argv`. */
function commandsIn(params: unknown): string[][] {
  if (typeof params !== "object" || params === null) return [];
  const argv: unknown = Array.isArray(params) ? params[1] : Reflect.get(params, "argv");
  if (!Array.isArray(argv)) return [];
  const words = argv.filter((word): word is string => typeof word === "string");
  return words.length === argv.length ? [words] : [];
}

function sameWords(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((word, index) => word === other[index]);
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

/** False for what could be a path outside the scratch folder, however it is decoded. */
function staysBelow(text: string): boolean {
  const plain = text.replaceAll(/[\t\n\r]/g, "").trim().replaceAll("\\", "/");
  if (!/^file:/i.test(plain)) return true; // never a path: URIs of other schemes and relative ones are refused
  const rest = decoded(plain.replace(/^file:\/\/(localhost)?/i, ""));
  if (!rest.startsWith("{W}")) return false;
  let depth = CLIMB; // below the scratch folder
  for (const segment of rest.slice("{W}".length).split("/")) {
    if (segment === "..") depth--;
    else if (segment !== "" && segment !== ".") depth++;
    if (depth < 0) return false;
  }
  return !rest.slice("{W}".length).includes("{W}");
}

function decoded(text: string): string {
  for (let last = "";;) {
    if (last === text) return text.replaceAll("\\", "/");
    last = text;
    text = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  }
}
