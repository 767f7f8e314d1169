/** Plots without a library: bars and lines on logarithmic axes, readable on light and on dark ground. */

/** Colours of series: they stand out on white and on black. */
export const COLOURS = ["#3b82f6", "#e07b00", "#7a8b99"] as const;

const STYLE = `<style>
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 14px; font-weight: 600; }
.grid { stroke: #24292f; stroke-opacity: 0.15; }
.one { stroke: #24292f; stroke-opacity: 0.7; }
@media (prefers-color-scheme: dark) {
text { fill: #d8dee4; }
.grid, .one { stroke: #d8dee4; }
}
</style>`;

/** Values of a bar plot, all above 0. */
export interface Bars {
  readonly title: string;
  /** What the axis shows, with its unit. */
  readonly axis: string;
  readonly legend: readonly string[];
  /** For each group one value for each of the legend; undefined leaves a gap. */
  readonly groups: readonly { readonly label: string; readonly values: readonly (number | undefined)[] }[];
}

/** Horizontal bars that begin at 1, on a logarithmic axis. */
export function barPlot({ title, axis, legend, groups }: Bars): string {
  const [left, top, plotWidth, bar, gap] = [250, 66, 480, 10, 8];
  const groupHeight = legend.length * bar + gap;
  const bottom = top + groups.length * groupHeight;
  const scale = logScale([1, ...groups.flatMap(({ values }) => values.flatMap((value) => value ?? []))]);
  const x = (value: number) => left + plotWidth * scale.at(value);
  const rows = groups.map(({ label, values }, group) => {
    const y = top + gap / 2 + group * groupHeight;
    const bars = values.map((value, series) => {
      if (value === undefined) return "";
      const [from, to] = [Math.min(x(1), x(value)), Math.max(x(1), x(value))];
      const text = value >= 100 ? value.toFixed(0) : value.toPrecision(2);
      const side = value >= 1 ? `x="${round(to + 4)}"` : `x="${round(from - 4)}" text-anchor="end"`;
      const at = y + series * bar;
      return `<rect x="${round(from)}" y="${at}" width="${round(Math.max(1, to - from))}" height="${
        bar - 1
      }" ` +
        `fill="${COLOURS[series]}"/><text ${side} y="${at + bar - 1}" style="font-size: 9px">${text}</text>`;
    });
    const middle = y + legend.length * bar / 2 + 4;
    return `<text x="${left - 8}" y="${middle}" text-anchor="end">${escaped(label)}</text>${bars.join("")}`;
  });
  return svg(left + plotWidth + 50, bottom + 46, title, [
    ...legendOf(
      legend.map((label, series) => ({ label, colour: COLOURS[series] ?? "", dashed: false })),
      left,
    ),
    ...scale.ticks.map((tick) =>
      `<line class="${tick === 1 ? "one" : "grid"}" x1="${round(x(tick))}" x2="${
        round(x(tick))
      }" y1="${top}" ` +
      `y2="${bottom}"/><text x="${round(x(tick))}" y="${bottom + 16}" text-anchor="middle">${tick}</text>`
    ),
    ...rows,
    `<text x="${left + plotWidth / 2}" y="${bottom + 36}" text-anchor="middle">${escaped(axis)}</text>`,
  ]);
}

/** Values of a line plot, all above 0. */
export interface Lines {
  readonly title: string;
  /** What the axes show, with units. */
  readonly xAxis: string;
  readonly yAxis: string;
  readonly series: readonly {
    readonly label: string;
    readonly colour: string;
    readonly dashed: boolean;
    readonly points: readonly (readonly [x: number, y: number])[];
  }[];
}

/** Lines on two logarithmic axes. */
export function linePlot({ title, xAxis, yAxis, series }: Lines): string {
  const [left, top, plotWidth, plotHeight] = [80, 96, 520, 260];
  const bottom = top + plotHeight;
  const points = series.flatMap((each) => each.points);
  const across = logScale(points.map(([x]) => x));
  const up = logScale(points.map(([, y]) => y));
  const x = (value: number) => round(left + plotWidth * across.at(value));
  const y = (value: number) => round(bottom - plotHeight * up.at(value));
  return svg(left + plotWidth + 30, bottom + 46, title, [
    ...legendOf(series, left),
    ...across.ticks.map((tick) =>
      `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${top}" y2="${bottom}"/>` +
      `<text x="${x(tick)}" y="${bottom + 16}" text-anchor="middle">${tick}</text>`
    ),
    ...up.ticks.map((tick) =>
      `<line class="grid" x1="${left}" x2="${left + plotWidth}" y1="${y(tick)}" y2="${y(tick)}"/>` +
      `<text x="${left - 8}" y="${y(tick) + 4}" text-anchor="end">${tick}</text>`
    ),
    ...series.flatMap(({ colour, dashed, points: each }) => [
      `<polyline fill="none" stroke="${colour}" stroke-width="2"${dashed ? ' stroke-dasharray="6 4"' : ""} ` +
      `points="${each.map(([px, py]) => `${x(px)},${y(py)}`).join(" ")}"/>`,
      ...each.map(([px, py]) => `<circle cx="${x(px)}" cy="${y(py)}" r="3" fill="${colour}"/>`),
    ]),
    `<text x="${left + plotWidth / 2}" y="${bottom + 36}" text-anchor="middle">${escaped(xAxis)}</text>`,
    `<text transform="translate(20 ${top + plotHeight / 2}) rotate(-90)" text-anchor="middle">${
      escaped(yAxis)
    }</text>`,
  ]);
}

function legendOf(
  entries: readonly { readonly label: string; readonly colour: string; readonly dashed: boolean }[],
  left: number,
): string[] {
  return entries.map(({ label, colour, dashed }, index) => {
    const [x, y] = [left + (index % 2) * 240, 46 + 18 * Math.floor(index / 2)];
    return `<line x1="${x}" x2="${x + 24}" y1="${y - 4}" y2="${y - 4}" stroke="${colour}" stroke-width="4"` +
      `${dashed ? ' stroke-dasharray="6 4"' : ""}/><text x="${x + 30}" y="${y}">${escaped(label)}</text>`;
  });
}

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `role="img" aria-label="${escaped(title)}">`,
    STYLE,
    `<text class="title" x="16" y="22">${escaped(title)}</text>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

/** Where values lie between 0 and 1, and the values that get a tick: 1, 2, 5, 10 … or powers of ten. */
function logScale(values: readonly number[]) {
  const low = Math.log10(Math.min(...values));
  const high = Math.log10(Math.max(...values));
  const steps = high - low > 2.5 ? [1] : [1, 2, 5];
  const all: number[] = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const step of steps) all.push(Number(`${step}e${power}`));
  }
  const from = all.findLast((tick) => Math.log10(tick) <= low) ?? 1;
  const to = all.find((tick) => Math.log10(tick) >= high && tick > from) ?? 10;
  return {
    ticks: all.filter((tick) => tick >= from && tick <= to),
    at: (value: number) => Math.log10(value / from) / Math.log10(to / from),
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
