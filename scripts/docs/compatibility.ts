/** docs/compatibility.md: the list that the replay of the recordings is held to, put into the prose of compatibility.md. */
import {
  type Difference,
  differences,
  missingMethods,
  notImplemented,
  notReplayed,
} from "../../tests/fixtures/differences.ts";
import { loadTranscripts } from "../../tests/harness/transcript.ts";
import { code, filled, table } from "./markdown.ts";

const LATER = /^Not implemented yet: (.+?)\.$/;

/** The page. */
export function compatibilityPage(): string {
  const names = loadTranscripts().map((recorded) => recorded.case);
  const below = (prefix: string) => names.filter((name) => name.startsWith(prefix));
  const leftOut = new Set([...notImplemented, ...notReplayed].flatMap(({ cases }) => below(cases)));
  const left = grouped(notImplemented, ({ why }) => why);
  for (const difference of differences) {
    const why = LATER.exec(difference.why)?.[1];
    if (why !== undefined && !left.has(why)) left.set(why, []);
  }
  return filled("compatibility.md", {
    counts:
      `Of ${names.length} recorded exchanges ${
        names.length - leftOut.size
      } are replayed; ${leftOut.size} are left ` +
      "out, nearly all because they are about something that is not there yet.",
    differences: table(
      ["this server", "recorded exchanges"],
      [...grouped(differences.filter(({ why }) => !LATER.test(why)), why)].map(([text, ones]) => [
        text,
        [...new Set(ones.map(place))].join(", "),
      ]),
    ),
    missing: table(
      ["not there yet", "recorded exchanges left out"],
      [...left].map(([text, ones]) => [
        text,
        String(ones.reduce((sum, { cases }) => sum + below(cases).length, 0) || "none"),
      ]),
    ),
    methods: missingMethods.map((name) => `- ${code(name)}`).join("\n"),
    elsewhere: notReplayed.map(({ cases, why }) => `- ${code(cases)}: ${why}`).join("\n"),
  });
}

function why(difference: Difference): string {
  const form = "form" in difference ? difference.form : undefined;
  return form === undefined ? difference.why : `${difference.why} (Only when run by ${form}.)`;
}

function place(difference: Difference): string {
  return "member" in difference ? `wherever ${code(difference.member)} occurs` : code(difference.case);
}

function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...groups.get(key(item)) ?? [], item]);
  return groups;
}
