/** Markdown for the generated pages. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { denoProgram } from "../deno.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A table; every cell may hold Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replace(/\s*\n\s*/g, " ").replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Text as code, also when it holds backticks itself. */
export function code(text: string): string {
  return text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``;
}

/** A code block. */
export function block(language: string, text: string): string {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``;
}

/**
 * A template of this folder with its `<!-- generated: NAME -->` lines replaced.
 * @throws Error when the template and the parts do not name the same
 */
export function filled(template: string, parts: Readonly<Record<string, string>>): string {
  const open = new Set(Object.keys(parts));
  const body = readFileSync(new URL(template, import.meta.url), "utf8").replace(
    /^<!-- generated: (.+?) -->$/gm,
    (_line, name: string) => {
      const part = parts[name];
      if (part === undefined) throw new Error(`${template}: nothing is generated under the name ${name}`);
      open.delete(name);
      return part;
    },
  );
  if (open.size > 0) throw new Error(`${template}: no place for ${[...open].join(", ")}`);
  return `<!-- Made by \`npm run docs\`; edit scripts/docs/${template} or the code it is made from. -->\n\n${body}`;
}

/** The text as `deno fmt` wants it, so that the format check has nothing to say about generated pages. */
export function formatted(markdown: string): string {
  const { status, stdout, stderr } = spawnSync(denoProgram(), ["fmt", "--ext", "md", "-"], {
    cwd: ROOT,
    input: markdown,
    encoding: "utf8",
    timeout: 30_000,
  });
  if (status !== 0) throw new Error(`deno fmt: ${stderr}`);
  return stdout;
}
