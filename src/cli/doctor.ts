/** `exec-server doctor`: what can be enforced on this machine. Looks, and changes nothing. */
import process from "node:process";
import { doctorFacts } from "../sandbox/doctor.ts";
import { createEnforcement } from "../sandbox/enforcement.ts";
import { ExitCode } from "./exit.ts";
import { type Options, switchOption } from "./options.ts";

/** Prints the facts; fails when no sandbox can be made. */
export async function doctor(options: Options): Promise<number> {
  const probe = await createEnforcement().probe();
  const facts = doctorFacts(probe);
  if (switchOption(options, "json")) {
    process.stdout.write(`${JSON.stringify({ sandbox: probe.available, facts }, null, 2)}\n`);
  } else {
    for (const { name, ok, detail, hint } of facts) {
      process.stdout.write(`${ok ? "ok  " : "NOT "} ${name}: ${detail}\n`);
      if (hint !== "") process.stdout.write(`       ${hint}\n`);
    }
  }
  return probe.available ? 0 : ExitCode.failure;
}
