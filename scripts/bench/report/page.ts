/** docs/performance.md and its plots. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { block, formatted, table } from "../../docs/markdown.ts";
import type { Facts } from "../machine.ts";
import type { Report } from "../run.ts";
import { CONTENDERS } from "../workload.ts";
import { medianOf, ratioOf, rowsOf } from "./figures.ts";
import { barPlot, COLOURS, linePlot } from "./svg.ts";
import { peaksTable, ratiosTable, refusals, valuesTable } from "./tables.ts";

/** Written by hand: what profiles have shown, and what came of it. */
const NOTES = fileURLToPath(new URL("profiles.md", import.meta.url));
const DOCS = fileURLToPath(new URL("../../../docs", import.meta.url));
const GROWTH = [
  { key: "memory", title: "Memory of the server", axis: "resident memory, MiB" },
  { key: "round trip", title: "A request beside them", axis: "round trip, ms" },
  { key: "start", title: "A start beside them", axis: "/bin/true, start to closed, ms" },
] as const;

/** A whole run. */
export interface Run {
  readonly facts: Facts;
  readonly quick: boolean;
  readonly reports: readonly Report[];
}

/** Writes the page and the plots; those of an earlier run go. */
export function writePage(run: Run): void {
  const plots = plotsOf(run.reports);
  const folder = join(DOCS, "performance");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const { name, content } of plots) writeFileSync(join(folder, name), content);
  writeFileSync(join(DOCS, "performance.md"), formatted(page(run, plots)));
}

interface Plot {
  readonly name: string;
  readonly title: string;
  readonly content: string;
}

function plotsOf(reports: readonly Report[]): readonly Plot[] {
  const groups = rowsOf(reports).map((row) => ({
    label: row.figure.title,
    values: [ratioOf(row, "codex"), ratioOf(row, "ssh")],
  })).filter(({ values }) => values.some((value) => value !== undefined));
  const title = "How many times better ours is";
  const bars = groups.length === 0 ? [] : [{
    name: "ratios.svg",
    title,
    content: barPlot({
      title,
      axis: "times better (faster, more, or smaller), logarithmic; below 1 is worse",
      legend: ["than codex", "than OpenSSH"],
      groups,
    }),
  }];
  return [...bars, ...GROWTH.flatMap((growth) => growthPlot(reports, growth))];
}

function growthPlot(reports: readonly Report[], { key, title, axis }: typeof GROWTH[number]): Plot[] {
  const series = reports.filter(({ name }) => name.startsWith("grow-")).flatMap((report) =>
    (["json", "codex"] as const).map((contender, index) => ({
      label: `${index === 0 ? "ours" : "codex"}, ${report.name.replace("grow-", "")}`,
      colour: COLOURS[index] ?? "",
      dashed: report.name.endsWith("connections"),
      points: report.figures.flatMap((figure) => {
        const median = medianOf({ report, figure }, contender);
        return figure.x !== undefined && figure.key === `${key} ${figure.x}` && median !== undefined
          ? [[figure.x, median] as const]
          : [];
      }),
    }))
  ).filter(({ points }) => points.length > 1);
  if (series.length === 0) return [];
  const xAxis = "running processes, or idle connections (logarithmic)";
  const content = linePlot({ title, xAxis, yAxis: `${axis} (logarithmic)`, series });
  return [{ name: `${key.replace(" ", "-")}.svg`, title, content }];
}

function page({ facts, quick, reports }: Run, plots: readonly Plot[]): string {
  const left = CONTENDERS.filter((each) =>
    !reports.some(({ results }) => results.some(({ contender }) => contender === each))
  );
  return `<!-- Made by \`npm run bench -- --write-docs\`; edit scripts/bench/ instead. -->

# Performance

Measured side by side in one run: in each round every contender does the same work, in an order that turns round
by round. A number is the median of its rounds, in brackets the 10th and the 90th percentile; a first round is not
counted.${quick ? " **This was a quick run: less work, and fewer rounds.**" : ""}

${table(["", ""], Object.entries(facts))}

- **ours**: the compiled program, with a plain JSON client (the same code as for codex) and with our library, both
  under Node.
- **codex**: \`codex exec-server\`, its executable without npm's shim.
- **OpenSSH**: sshd on loopback, one connection that all commands share (\`ControlMaster\`).
- **bare**: the system calls without any server.
- **bare WebSocket**: \`ws\` in two processes, without a protocol.
${left.length > 0 ? `\nLeft out of this run: ${left.join(", ")}.\n` : ""}
## Ratios

How many times better ours is, with the plain JSON client: less time or memory, more in a second. Below 1 it is worse.

${ratiosTable(reports)}

With our own library, which uses binary messages with our server (codex with the plain JSON client, as above):

${ratiosTable(reports, "library")}

${plots.map(({ name, title }) => `![${title}](performance/${name})`).join("\n\n")}

## Values

MB is 10^6 bytes, MiB 2^20.

${valuesTable(reports)}

"cannot" means:

${refusals(reports) || "- (everyone could do everything)"}

## Peak memory

The most resident memory that the server had in a workload.

${peaksTable(reports)}

${readFileSync(NOTES, "utf8").trim()}

## The workloads

${reports.map(({ name, about }) => `- **${name}**: ${about}`).join("\n")}

## Run it

${
    block(
      "sh",
      "npm run bench -- --write-docs            # all of it, and this page\nnpm run bench -- --quick --only start,pty-echo",
    )
  }

It installs the reference into \`dist/bench-codex\` (or takes \`--codex PATH\`) and Debian's OpenSSH where it is missing;
\`--without codex,ssh\` leaves them out. \`--json FILE\` writes every value. The machine should have nothing else to do.
`;
}
