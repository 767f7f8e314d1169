// What stands in an audit log.
import { readFileSync } from "node:fs";
import { type AuditLine, parseAuditLine } from "../../src/server/audit_events.ts";

/** All lines, each checked against the schema. */
export function auditLines(path: string): AuditLine[] {
  return readFileSync(path, "utf8").split("\n").slice(0, -1).map(parseAuditLine);
}

/** The lines of one kind. */
export function linesOf(path: string, event: AuditLine["event"]): AuditLine[] {
  return auditLines(path).filter((line) => line.event === event);
}
