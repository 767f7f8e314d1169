import process from "node:process";

/** Severities, from talkative to quiet. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** A severity. */
export type LogLevel = typeof LOG_LEVELS[number];

/** Where a server writes what it does. Never give it a secret. */
export type Log = (
  level: LogLevel,
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;

/** A log on standard error: one line an entry, as text or (`json`) as a JSON object. Entries below `least` are dropped. */
export function stderrLog(least: LogLevel, json: boolean): Log {
  return (level, message, fields = {}) => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
    const time = new Date().toISOString();
    if (json) {
      process.stderr.write(`${JSON.stringify({ time, level, message, ...fields })}\n`);
      return;
    }
    const details = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`).join("");
    process.stderr.write(`${time} ${level} ${message}${details}\n`);
  };
}
