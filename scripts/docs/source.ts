/** What the source says about its own values: doc comments, in the order in which they were written. */
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

const SRC = new URL("../../src/", import.meta.url);

/** A doc comment on a member. */
export interface MemberComment {
  readonly name: string;
  readonly comment: string;
}

/** A constant with its doc comment. */
export interface Documented {
  readonly name: string;
  readonly value: unknown;
  /** One paragraph, without the comment's stars. */
  readonly comment: string;
  /** The doc comments inside of its declaration, each with the name of the member it stands before, in order. */
  readonly members: readonly MemberComment[];
}

/** The exported constants of a file below src/ that have a doc comment. */
export async function documentedExports(path: string): Promise<Documented[]> {
  const url = new URL(path, SRC);
  const module: unknown = await import(url.href);
  if (typeof module !== "object" || module === null) throw new Error(`${path} is no module`);
  const source = readFileSync(url, "utf8");
  return commented(source, /export const (\w+)/).map(({ name, comment }) => ({
    name,
    comment,
    value: Reflect.get(module, name),
    members: commented(declaration(source, name), /(\w+):/),
  }));
}

/** A member of an object literal with its doc comment. */
export interface DocumentedMember extends MemberComment {
  /** As the source writes it. */
  readonly value: string;
}

/** The members with a doc comment in an object literal of a file below src/, such as the error codes. */
export function documentedMembers(path: string, constant: string): DocumentedMember[] {
  const source = readFileSync(new URL(path, SRC), "utf8");
  const body = new RegExp(`export const ${constant}\\b[^=]*= \\{(.*?)\\n\\}`, "s").exec(source)?.[1];
  if (body === undefined) throw new Error(`${path} has no ${constant}`);
  return commented(body, /(\w+): ([^,]+)/).map(({ name, rest, comment }) => ({
    name,
    comment,
    value: rest ?? "",
  }));
}

/** The files of a folder below src/, `first` first. */
export function sourceFiles(folder: string, first: readonly string[]): string[] {
  const place = (name: string) => first.includes(name) ? first.indexOf(name) : first.length;
  return readdirSync(new URL(`${folder}/`, SRC)).filter((name) => name.endsWith(".ts"))
    .sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1))
    .map((name) => `${folder}/${basename(name)}`);
}

/** The text from a constant's name to the next one. */
function declaration(source: string, name: string): string {
  const [, after = ""] = source.split(new RegExp(`export const ${name}\\b`));
  return after.split(/^export /m)[0] ?? "";
}

function commented(
  source: string,
  what: RegExp,
): { name: string; rest: string | undefined; comment: string }[] {
  const pattern = new RegExp(`/\\*\\*((?:(?!\\*/).)*)\\*/\\s*${what.source}`, "gs");
  return [...source.matchAll(pattern)].map(([, comment = "", name = "", rest]) => ({
    name,
    rest,
    comment: paragraph(comment),
  }));
}

function paragraph(comment: string): string {
  return comment.split("\n").map((line) => line.replace(/^\s*\*\s?/, "").trim()).join(" ").trim()
    .replace(/\{@link (\w+)\}/g, "`$1`");
}
