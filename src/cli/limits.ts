/** `run --timeout`, `--kill-after` and `--limit`. */
import type { ResourceLimits, StartOptions } from "../process/trait.ts";
import { UsageError } from "./exit.ts";
import { countOf, listOption, millisecondsOption, type Options, sizeOf } from "./options.ts";

type Limit = readonly [name: keyof ResourceLimits, parse: (text: string, where: string) => number];

const count = (text: string, where: string) => countOf(text, where, 1, Number.MAX_SAFE_INTEGER);
const size = (text: string, where: string) => sizeOf(text, where, 1);

const LIMITS: ReadonlyMap<string, Limit> = new Map<string, Limit>([
  ["cpu", ["cpuSeconds", count]],
  ["memory", ["addressSpaceBytes", size]],
  ["data", ["dataBytes", size]],
  ["files", ["openFiles", count]],
  ["processes", ["processes", count]],
  ["file-size", ["fileSizeBytes", size]],
]);

/** What they say. */
export function limitOptions(
  options: Options,
): Pick<StartOptions, "timeoutMs" | "timeoutGraceMs" | "limits"> {
  const timeoutMs = millisecondsOption(options, "timeout", 1);
  const timeoutGraceMs = millisecondsOption(options, "kill-after", 0);
  if (timeoutGraceMs !== undefined && timeoutMs === undefined) {
    throw new UsageError("--kill-after says what comes after --timeout: pass that, too");
  }
  const limits = Object.fromEntries(listOption(options, "limit").map(limitOf));
  return {
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(timeoutGraceMs !== undefined && { timeoutGraceMs }),
    ...(Object.keys(limits).length > 0 && { limits }),
  };
}

function limitOf(text: string): [keyof ResourceLimits, number] {
  const [, name = "", value = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const limit = LIMITS.get(name);
  if (!limit) {
    const names = [...LIMITS.keys()].join(", ");
    throw new UsageError(`--limit takes NAME=VALUE with a name of: ${names}; not '${text}'`);
  }
  const [member, parse] = limit;
  return [member, parse(value, `--limit ${name}`)];
}
