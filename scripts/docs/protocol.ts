/** docs/protocol.md: the declarations of src/protocol/, put into the prose of protocol.md and notes.md. */
import { readFileSync } from "node:fs";
import type { Method, Notification } from "../../src/protocol/method.ts";
import { code, filled, table } from "./markdown.ts";
import { type Declaration, declarations, lanes } from "./methods.ts";
import { members } from "./schema.ts";
import { documentedExports, documentedMembers, type MemberComment } from "./source.ts";

/** All other notifications are the server's. */
const FROM_CLIENT = ["initialized", "process/outputAck"];
/** How the doc comment of a declaration, or of a member, says that the reference does not have it. */
const ADDED = /\bAdded\b/;

/** The page. */
export async function protocolPage(): Promise<string> {
  const { methods, notifications } = await declarations();
  const all = [...methods, ...notifications];
  const laneOf = await lanes(methods.map((method) => method.declared));
  const notes = handWritten(all);
  return filled("protocol.md", {
    added: all.flatMap(addedIn).map((line) => `- ${line}`).join("\n"),
    overview: table(
      ["method", "area", "lane", "may be asked again"],
      methods.map(({ declared: { name, area, repeatable } }) => [
        code(name),
        area,
        laneOf.get(name) ?? "",
        repeatable ? "yes" : "",
      ]),
    ),
    frames: table(
      ["kind", "meaning"],
      documentedMembers("rpc/frame.ts", "FrameKind").map((each) => [each.value, each.comment]),
    ),
    capabilities: table(
      ["capability", "meaning"],
      documentedMembers("info/local.ts", "CAPABILITIES").map((each) => [code(each.name), each.comment]),
    ),
    methods: methods.map((method) => methodText(method, notes)).join("\n\n"),
    notifications: notifications.map((notification) => notificationText(notification, notes)).join("\n\n"),
    errors: table(
      ["code", "name in the source", "meaning"],
      documentedMembers("protocol/error.ts", "RpcCode").map((each) => [
        code(each.value),
        code(each.name),
        each.comment,
      ]),
    ),
    limits: await limitsTable(),
  });
}

function methodText(method: Declaration<Method>, notes: Map<string, string>): string {
  const { declared, comment } = method;
  const none = declared.struct === undefined;
  return [
    `### ${declared.name}`,
    comment,
    none
      ? "No params: absent, `null` and `{}` are accepted."
      : membersTable("param", declared.params, method.members),
    members(declared.result).length === 0
      ? "Result: `{}`."
      : `Result:\n\n${membersTable("member", declared.result, method.members.toReversed())}`,
    notes.get(declared.name) ?? "",
  ].join("\n\n");
}

function notificationText(notification: Declaration<Notification>, notes: Map<string, string>): string {
  const { declared, comment } = notification;
  return [
    `### ${declared.name}`,
    `${FROM_CLIENT.includes(declared.name) ? "Client to server" : "Server to client"}. ${comment}`,
    members(declared.params).length === 0 ? "" : membersTable("param", declared.params, notification.members),
    notes.get(declared.name) ?? "",
  ].join("\n\n");
}

function membersTable(head: string, schema: Method["params"], comments: readonly MemberComment[]) {
  const rows = members(schema).map(({ name, type, optional, fallback }) => {
    const presence = !optional
      ? "required"
      : fallback === undefined
      ? "optional"
      : `default ${code(JSON.stringify(fallback))}`;
    return [code(name), code(type), presence, commentOn(name, comments)];
  });
  const commented = rows.some((row) => row.at(-1) !== "");
  const columns = [head, "type", "presence", "meaning"];
  return commented ? table(columns, rows) : table(columns.slice(0, 3), rows.map((row) => row.slice(0, 3)));
}

/** Nested members are found by their own name; a name that occurs twice has the comment that comes first. */
function commentOn(name: string, comments: readonly MemberComment[]): string {
  const own = name.split(/[.[\]]+/).at(-1);
  return comments.find((each) => each.name === own)?.comment ?? "";
}

/** What of a declaration the reference does not have. */
function addedIn({ declared: { name }, comment, members }: Declaration<{ name: string }>): string[] {
  if (ADDED.test(comment)) return [code(name)];
  const own = members.filter((member) => ADDED.test(member.comment)).map((member) => member.name);
  return [...new Set(own)].map((member) => `${code(member)} of ${code(name)}`);
}

async function limitsTable(): Promise<string> {
  const numbers = (await documentedExports("protocol/limits.ts")).map(({ name, value, comment }) => {
    if (typeof value !== "number") throw new Error(`${name} is no number`);
    return [code(name), value.toLocaleString("en"), comment];
  });
  return table(["constant", "value", "meaning"], numbers);
}

/** The sections of notes.md. @throws Error for a section that is about nothing that is declared */
function handWritten(all: readonly Declaration<{ name: string }>[]): Map<string, string> {
  const notes = new Map<string, string>();
  const text = readFileSync(new URL("notes.md", import.meta.url), "utf8");
  for (const section of text.split(/^## /m).slice(1)) {
    const [name = "", ...body] = section.split("\n");
    if (!all.some(({ declared }) => declared.name === name)) throw new Error(`notes.md: there is no ${name}`);
    notes.set(name, body.join("\n").trim());
  }
  return notes;
}
