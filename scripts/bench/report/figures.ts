/** Numbers of reports, as tables and plots want them. */
import type { Report, Result } from "../run.ts";
import type { Contender, Figure, Unit } from "../workload.ts";

/** What the pages call the contenders. */
export const LABELS: Readonly<Record<Contender, string>> = {
  json: "ours, JSON client",
  library: "ours, library",
  codex: "codex",
  ssh: "OpenSSH",
  bare: "bare",
  websocket: "bare WebSocket",
};

/** A figure with the report it is of. */
export interface Row {
  readonly report: Report;
  readonly figure: Figure;
}

/** The figures of tables: of those that grow only the largest that was measured. */
export function rowsOf(reports: readonly Report[]): readonly Row[] {
  return reports.flatMap((report) => {
    const measured = report.figures.filter(({ key }) => report.results.some(({ spreads }) => key in spreads));
    const largest = Math.max(...measured.map(({ x = 0 }) => x));
    const shown = measured.length === 0 ? report.figures.filter(({ x }) => x === undefined) : measured;
    return shown.filter(({ x = largest }) => x === largest).map((figure) => ({ report, figure }));
  });
}

/** What a contender did, if it took part. */
export function resultOf(report: Report, contender: Contender): Result | undefined {
  return report.results.find((result) => result.contender === contender);
}

/** The median of a contender; undefined where it has none. */
export function medianOf({ report, figure }: Row, contender: Contender): number | undefined {
  return resultOf(report, contender)?.spreads[figure.key]?.median;
}

/** Which client of our server is compared. */
export type OurClient = "json" | "library";

/** How many times better ours is than another. */
export function ratioOf(row: Row, other: Contender, client: OurClient = "json"): number | undefined {
  const ours = medianOf(row, client);
  const theirs = medianOf(row, other);
  if (ours === undefined || theirs === undefined) return undefined;
  return isBetterSmall(row.figure.unit) ? theirs / ours : ours / theirs;
}

function isBetterSmall(unit: Unit): boolean {
  return unit === "ms" || unit === "MiB" || unit === "KiB";
}

/** Three digits that count. */
export function short(value: number): string {
  return Math.abs(value) >= 1000
    ? Math.round(Number(value.toPrecision(3))).toLocaleString("en-GB")
    : value.toPrecision(3);
}
