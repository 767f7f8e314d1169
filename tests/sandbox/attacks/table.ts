// The results of the attacks as text: a table for docs/sandbox.md, and what a test says when something comes through.
import type { Attack, Identity, Result, Verdict } from "./attack.ts";
import { ALLOWED_ESCAPES } from "./list.ts";

/** One run: who, how, and what came of it. */
export interface Column {
  readonly title: string;
  readonly verdicts: readonly Verdict[];
}

const SIGNS: Readonly<Record<Result, string>> = {
  BLOCKED: "blocked",
  ESCAPED: "**escaped**",
  SKIP: "-",
  ERROR: "error",
};

/** A Markdown table with a row for each attack and a column for each run. */
export function attackTable(attacks: readonly Attack[], columns: readonly Column[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const lines = attacks.map((attack) =>
    row([
      `\`${attack.id}\``,
      attack.tries,
      ...columns.map(({ verdicts }) => {
        const found = verdicts.find((verdict) => verdict.id === attack.id);
        return found ? SIGNS[found.result] : "";
      }),
      attack.stoppedBy,
    ])
  );
  const head = ["id", "attack", ...columns.map(({ title }) => title), "what stops it"];
  return [row(head), row(head.map(() => "---")), ...lines].join("\n");
}

/** How often each result came. */
export function counts(verdicts: readonly Verdict[]): Record<Result, number> {
  const found: Record<Result, number> = { BLOCKED: 0, ESCAPED: 0, SKIP: 0, ERROR: 0 };
  for (const { result } of verdicts) found[result]++;
  return found;
}

/** What must not be: escapes that are not on the list, and attacks that could not be judged. */
export function unexpected(verdicts: readonly Verdict[], identity: Identity): string[] {
  return verdicts.flatMap(({ id, result, detail }) => {
    if (result === "ERROR") return [`${id} could not be judged: ${detail}`];
    const allowed = ALLOWED_ESCAPES.some((one) => one.id === id && one.as.includes(identity));
    return result === "ESCAPED" && !allowed ? [`${id} came through: ${detail}`] : [];
  });
}

/** What shows that an attack is none: without a sandbox it has to come through. */
export function powerless(
  attacks: readonly Attack[],
  verdicts: readonly Verdict[],
  identity: Identity,
): string[] {
  return attacks.flatMap((attack) => {
    const found = verdicts.find((verdict) => verdict.id === attack.id);
    const bare = typeof attack.bare === "object" ? attack.bare[identity] : attack.bare ?? "open";
    if (found === undefined || found.result === "ERROR") {
      return [`${attack.id} could not be judged: ${found?.detail ?? ""}`];
    }
    return bare === "open" && found.result !== "ESCAPED"
      ? [`${attack.id} does nothing: ${found.detail}`]
      : [];
  });
}
