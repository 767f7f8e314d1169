/** `exec-server info`. */
import process from "node:process";
import { complain, ExitCode, explain, UsageError } from "./exit.ts";
import { type Options, switchOption } from "./options.ts";
import { chosenServer, openEnvironment } from "./server_choice.ts";

/** Prints what is known of an environment; returns 1 when it cannot be reached. */
export async function info(options: Options): Promise<number> {
  try {
    await print(options);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    complain(explain(error));
    return ExitCode.failure;
  }
}

async function print(options: Options): Promise<void> {
  await using environment = await openEnvironment(chosenServer(options), options);
  const facts = await environment.info.get();
  if (switchOption(options, "json")) {
    process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    return;
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
}
