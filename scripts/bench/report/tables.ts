/** The tables, as Markdown. */
import { table } from "../../docs/markdown.ts";
import type { Report } from "../run.ts";
import { type Contender, CONTENDERS } from "../workload.ts";
import { LABELS, medianOf, type OurClient, ratioOf, resultOf, type Row, rowsOf, short } from "./figures.ts";

/** Most memory that a server of ours may use in any workload, in MiB. */
const PEAK_TARGET_MIB = 150;
const OTHERS = ["codex", "ssh", "bare", "websocket"] as const satisfies readonly Contender[];

/** Medians, with the tenth and the ninetieth percentile. */
export function valuesTable(reports: readonly Report[]): string {
  return table(
    ["workload", "unit", "rounds", ...CONTENDERS.map((contender) => LABELS[contender])],
    rowsOf(reports).map((row) => [
      row.figure.title,
      row.figure.unit,
      String(roundsOf(row)),
      ...CONTENDERS.map((contender) => cell(row, contender)),
    ]),
  );
}

/** The most rounds that any contender was measured in. */
function roundsOf({ report, figure }: Row): number {
  return Math.max(0, ...report.results.map(({ spreads }) => spreads[figure.key]?.rounds ?? 0));
}

function cell({ report, figure }: Row, contender: Contender): string {
  const result = resultOf(report, contender);
  if (!result) return "–";
  if (result.cannot !== undefined) return "cannot";
  const spread = result.spreads[figure.key];
  return spread ? `**${short(spread.median)}** (${short(spread.p10)}…${short(spread.p90)})` : "–";
}

/** How many times better ours is, and the targets. */
export function ratiosTable(reports: readonly Report[], client: OurClient = "json"): string {
  return table(
    ["workload", ...OTHERS.map((other) => `than ${LABELS[other]}`), "target"],
    rowsOf(reports).filter((row) => medianOf(row, client) !== undefined).map((row) => [
      row.figure.title,
      ...OTHERS.map((other) => {
        const ratio = ratioOf(row, other, client);
        return ratio === undefined ? "–" : short(ratio);
      }),
      OTHERS.flatMap((other) => targetOf(row, other, client) ?? []).join(", "),
    ]),
  );
}

function targetOf(row: Row, other: Contender, client: OurClient): string | undefined {
  const { targets, libraryTargets } = row.figure;
  const target = (client === "json" ? targets : libraryTargets)?.[other];
  const ratio = ratioOf(row, other, client);
  if (target === undefined || ratio === undefined) return undefined;
  return `${LABELS[other]} ${short(target)}: ${ratio >= target ? "met" : "**missed**"}`;
}

/** The most memory that the servers ever used. */
export function peaksTable(reports: readonly Report[]): string {
  const servers = ["json", "library", "codex"] as const;
  const rows = reports.filter(({ results }) => results.some(({ peakMiB }) => peakMiB !== undefined));
  return table(
    ["workload", ...servers.map((contender) => `${LABELS[contender]}, MiB`), "target"],
    rows.map((report) => {
      const peaks = servers.map((contender) => resultOf(report, contender)?.peakMiB);
      const ours = Math.max(peaks[0] ?? 0, peaks[1] ?? 0);
      return [
        report.name,
        ...peaks.map((peak) => peak === undefined ? "–" : short(peak)),
        ours === 0 ? "" : ours < PEAK_TARGET_MIB ? "met" : "**missed**",
      ];
    }),
  );
}

/** Who could not do what, and why; a list, empty when everyone could. */
export function refusals(reports: readonly Report[]): string {
  return reports.flatMap(({ name, results }) =>
    results.flatMap(({ contender, cannot }) =>
      cannot === undefined ? [] : [`- ${name}, ${LABELS[contender]}: ${cannot}`]
    )
  ).join("\n");
}
