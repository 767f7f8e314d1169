/** Tables of text. */

/** Two columns each: East Asian wide characters and emoji. */
const WIDE = new RegExp(
  "[\\u1100-\\u115f\\u2e80-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f\\uff00-\\uff60\\uffe0-\\uffe6]" +
    "|[\\u{20000}-\\u{3fffd}]|\\p{Emoji_Presentation}",
  "u",
);
const NARROWEST = 8;

/** How a column is shown. */
export interface Column {
  readonly title: string;
  /** Numbers stand on the right. */
  readonly right?: boolean;
}

/**
 * The lines of a table with a header, its columns aligned.
 * @param width lines are cut to so many columns; undefined: not at all
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
): string[] {
  const all = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, at) => Math.max(...all.map((row) => displayWidth(row[at] ?? ""))));
  return all.map((row) => {
    const cells = columns.map(({ right }, at) => {
      const cell = row[at] ?? "";
      const space = " ".repeat((widths[at] ?? 0) - displayWidth(cell));
      return right ? space + cell : cell + space;
    });
    const line = cells.join("  ").trimEnd();
    return width === undefined ? line : cut(line, Math.max(width, NARROWEST));
  });
}

/** The columns that a text takes on a terminal. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += widthOf(character);
  return width;
}

function widthOf(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** Cut to so many columns, the last of them `…`. */
function cut(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let short = "";
  let used = 1;
  for (const character of text) {
    used += widthOf(character);
    if (used > width) break;
    short += character;
  }
  return `${short}…`;
}
