/** Option values as commands want them: cac hands over strings, booleans and lists as they come. */
import process from "node:process";
import type { RemoteOptions } from "../client/link.ts";
import { MAX_TIMER_MS } from "../protocol/limits.ts";
import { camelCase, givenText } from "./arguments.ts";
import { escapeCharacter } from "./escape.ts";
import { UsageError } from "./exit.ts";
import { readTls, type TlsPaths } from "./tls_options.ts";

/** The longest time that a timer can hold, in whole seconds. */
export const MAX_TIMER_SECONDS = Math.floor(MAX_TIMER_MS / 1000);

/** Parsed options of a command. */
export type Options = Readonly<Record<string, unknown>>;

/** A text; undefined when the option is absent. @throws UsageError when it has no value or is given twice */
export function textOption(options: Options, name: string): string | undefined {
  const value = options[camelCase(name)];
  if (value === undefined) return undefined;
  if (typeof value === "string") return givenText(value);
  throw new UsageError(`--${name} takes one value`);
}

/** All values of an option that may be repeated. */
export function listOption(options: Options, name: string): string[] {
  const value = options[camelCase(name)];
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map((item) => {
    if (typeof item === "string") return givenText(item);
    throw new UsageError(`--${name} takes a value`);
  });
}

/** One of a few words. */
export function wordOption<const T extends string>(
  options: Options,
  name: string,
  words: readonly T[],
  otherwise: T,
): T {
  const value = textOption(options, name);
  if (value === undefined) return otherwise;
  const word = words.find((each) => each === value);
  if (word === undefined) throw new UsageError(`--${name} takes one of: ${words.join(", ")}`);
  return word;
}

/** A whole number within bounds. */
export function countOption(
  options: Options,
  name: string,
  least: number,
  most: number,
  otherwise: number,
): number {
  const value = textOption(options, name);
  return value === undefined ? otherwise : countOf(value, `--${name}`, least, most);
}

/** The same of a text. @param where what the complaint names */
export function countOf(text: string, where: string, least: number, most: number): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < least || count > most) {
    throw new UsageError(
      `invalid value '${text}' for '${where}': a whole number from ${least} to ${most} is needed`,
    );
  }
  return count;
}

/** Seconds, also with a fraction, as whole milliseconds. */
export function millisecondsOption(options: Options, name: string, least: number): number | undefined {
  const value = textOption(options, name);
  if (value === undefined) return undefined;
  const ms = Math.round(1000 * Number(value));
  if (!/^\d+(\.\d+)?$/.test(value) || ms < least || ms > MAX_TIMER_MS) {
    throw new UsageError(
      `invalid value '${value}' for '--${name}': seconds from ${least / 1000} to ${
        MAX_TIMER_MS / 1000
      } are needed`,
    );
  }
  return ms;
}

/** A size in bytes; K, M and G stand for 2^10, 2^20 and 2^30. At least 1M: a pipe must fit into it several times. */
export function sizeOption(options: Options, name: string, otherwise: number): number {
  const value = textOption(options, name);
  return value === undefined ? otherwise : sizeOf(value, `--${name}`, 1024 ** 2);
}

/** The same of a text. @param where what the complaint names */
export function sizeOf(text: string, where: string, least: number): number {
  const match = /^(\d{1,12})([KMG]?)$/i.exec(text);
  const bytes = Number(match?.[1]) * 1024 ** " KMG".indexOf((match?.[2] || " ").toUpperCase());
  if (!match || bytes < least) {
    throw new UsageError(
      `invalid value '${text}' for '${where}': a size from ${least === 1024 ** 2 ? "1M" : least} is needed`,
    );
  }
  return bytes;
}

/** `--escape`. */
export function escapeOption(options: Options): number | undefined {
  const text = textOption(options, "escape") ?? "~";
  const character = escapeCharacter(text);
  if (character === null) {
    throw new UsageError(`--escape takes a character, ^X for Ctrl-X, or none; not '${text}'`);
  }
  return character;
}

/** A switch. */
export function switchOption(options: Options, name: string): boolean {
  const value = options[camelCase(name)];
  return Array.isArray(value) ? value.at(-1) === true : value === true; // given twice it is a list
}

/** `--tls-ca` and the like, as options of a connection to `url`. @throws UsageError when they do not fit */
export function tlsOptions(options: Options, url: string | undefined): RemoteOptions {
  const tls = readTls(url, tlsPaths(options));
  return tls === undefined ? {} : { tls };
}

/** The same options once more, for a command line that we propose. */
export function tlsArguments(options: Options): string[] {
  return Object.entries(tlsPaths(options)).flatMap(([name, path]) =>
    path === undefined ? [] : [`--tls-${name}`, path]
  );
}

function tlsPaths(options: Options): TlsPaths {
  return {
    ca: textOption(options, "tls-ca"),
    cert: textOption(options, "tls-cert"),
    key: textOption(options, "tls-key"),
  };
}

/** `--session-ttl`, in seconds, as the option of a connection. */
export function ttlOption(options: Options): RemoteOptions {
  if (textOption(options, "session-ttl") === undefined) return {};
  return { sessionTtlMs: 1000 * countOption(options, "session-ttl", 1, MAX_TIMER_SECONDS, 90) };
}

/** Says on standard error that the connection broke or is back: on a terminal, or with `--verbose`. */
export function connectionReport(options: Options): RemoteOptions {
  if (!process.stderr.isTTY && !switchOption(options, "verbose")) return {};
  return {
    onConnectionChange(state, reason) {
      const why = reason ? `: ${reason.message}` : "";
      process.stderr.write(`exec-server: ${state === "connected" ? "connected again" : `${state}${why}`}\n`);
    },
  };
}
