/** docs/audit.md: what is in the audit log. */
import * as v from "valibot";
import { AUDIT_COMMON, AUDIT_EVENTS } from "../../src/server/audit_events.ts";
import { MAX_REFUSALS_PER_SECOND } from "../../src/server/audit.ts";
import { MAX_HELD_BYTES } from "../../src/server/audit_file.ts";
import { code, filled, table } from "./markdown.ts";
import { isSchema, members } from "./schema.ts";

const MIB = 1024 * 1024;

/** The page. */
export function auditPage(): string {
  const events = Object.entries(AUDIT_EVENTS);
  return filled("audit.md", {
    common: fieldTable(v.object(AUDIT_COMMON)),
    kinds: table(["event", "meaning"], events.map(([name, { meaning }]) => [code(name), meaning])),
    fields: events.map(([name, { fields }]) => `### ${name}\n\n${fieldTable(fields)}`).join("\n\n"),
    limits: table(["what", "how much"], [
      [
        "Lines that wait for the disk",
        `${MAX_HELD_BYTES / MIB} MiB; above half of it the log counts as not writable`,
      ],
      [
        "Refusals that are written within a second",
        `${MAX_REFUSALS_PER_SECOND}; the next line has the number of the others`,
      ],
    ]),
  });
}

function fieldTable(schema: v.GenericSchema): string {
  const entries = Object.entries<unknown>(Object(Reflect.get(schema, "entries")));
  const meanings = new Map(entries.map(([name, entry]) => [name, meaningOf(entry)]));
  return table(
    ["field", "type", "meaning"],
    members(schema).map(({ name, type, optional }) => [
      code(name),
      `${type}${optional ? ", optional" : ""}`,
      meanings.get(name) ?? "",
    ]),
  );
}

function meaningOf(schema: unknown): string {
  if (!isSchema(schema)) throw new Error("not a valibot schema");
  const meaning = v.getDescription(schema);
  return meaning ?? meaningOf(Reflect.get(schema, "wrapped"));
}
