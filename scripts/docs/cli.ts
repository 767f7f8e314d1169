/** docs/cli.md: what the executable says about itself. */
import { execFileSync } from "node:child_process";
import { EXECUTABLE } from "../compile.ts";
import { block, code, filled, table } from "./markdown.ts";
import { documentedMembers } from "./source.ts";

const HELP_LIMIT_MS = 10_000;

/** The page. */
export function cliPage(): string {
  const general = help([]);
  return filled("cli.md", {
    general: block("text", general),
    commands: commandsIn(general).map((name) => `### exec-server ${name}\n\n${block("text", help([name]))}`)
      .join("\n\n"),
    exits: table(
      ["code", "meaning"],
      documentedMembers("cli/exit.ts", "ExitCode").map((each) => [code(each.value), each.comment]),
    ),
  });
}

function help(command: readonly string[]): string {
  const text = execFileSync(EXECUTABLE, [...command, "--help"], { encoding: "utf8", timeout: HELP_LIMIT_MS });
  return text.split("\n").map((line) => line.trimEnd()).join("\n");
}

function commandsIn(general: string): string[] {
  const names = [...general.matchAll(/^ {2}\$ \S+ (\w+) --help$/gm)].flatMap(([, name]) => name ?? []);
  if (names.length === 0) throw new Error("`exec-server --help` names no commands");
  return names;
}
