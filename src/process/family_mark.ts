/** The mark in the environment of everything that this server starts. Descendants inherit it. */
import process from "node:process";

const NAME = "EXEC_SERVER_PROCESS";
/** A server below a server keeps the outer marks, so that the outer one finds its descendants too. */
const OUTER = /^[\w. ]{1,400}$/;

/** Tells this server's marks from those of all others. Random: nobody has it by chance. */
export const serverToken: string = crypto.randomUUID().replaceAll("-", "");
const MARKS = new RegExp(`${serverToken}\\.(\\d+)`, "g");

/** What to lay over the environment of the family with this number. */
export function markFor(number: number): Readonly<Record<string, string>> {
  const outer = process.env[NAME] ?? "";
  return { [NAME]: `${OUTER.test(outer) ? `${outer} ` : ""}${serverToken}.${number}` };
}

/** The numbers in an environment, as /proc/PID/environ has it. */
export function marksIn(environ: string): number[] {
  if (!environ.includes(serverToken)) return [];
  return [...environ.matchAll(MARKS)].map((match) => Number(match[1]));
}
