/** `exec-server info`. */
import process from "node:process";
import { openEnvironment, type Options, switchOption } from "./options.ts";

/** Prints what is known of an environment. */
export async function info(options: Options): Promise<number> {
  await using environment = await openEnvironment(options);
  const facts = await environment.info.get();
  if (switchOption(options, "json")) {
    process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    return 0;
  }
  const can = Object.entries(facts.capabilities).filter(([, able]) => able).map(([name]) => name);
  const rows: [string, string | undefined][] = [
    ["version", facts.version],
    ["system", facts.os],
    ["shell", facts.shell.path],
    ["directory", facts.cwd],
    ["home", facts.homeDirectory],
    ["temporary", facts.tempDirectory],
    ["capabilities", can.join(" ")],
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(13)} ${value ?? "unknown"}\n`);
  return 0;
}
