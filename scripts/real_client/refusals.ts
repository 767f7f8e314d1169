/** Scenarios of what this server does not do (yet): the model must be told so, and the client must go on. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { command, expect, outputAt, type Scenario } from "./scenario.ts";

const pipes: Scenario = {
  name: "input without a terminal",
  calls: [command("cat; echo end of input $?"), command("sleep 1; exit 4", { yield_time_ms: 250 })],
  check(evidence) {
    expect(/^end of input 0$/m.test(outputAt(evidence, 0)), "an empty standard input", outputAt(evidence, 0));
    const second = outputAt(evidence, 1);
    expect(/session ID \d+/i.test(second), "a session for the command that still runs", second);
    return "standard input is empty; a long command becomes a session";
  },
};

const sandbox: Scenario = {
  name: "a sandbox is refused",
  sandboxed: true,
  calls: [
    command("touch made.txt"),
    { tool: "apply_patch", patch: "*** Begin Patch\n*** Add File: patched.txt\n+x\n*** End Patch\n" },
  ],
  check(evidence) {
    const [start, patch] = [outputAt(evidence, 0), outputAt(evidence, 1)];
    expect(/cannot enforce a sandbox/.test(start), "the server's reason", start);
    for (const name of ["made.txt", "patched.txt"]) {
      expect(!existsSync(join(evidence.workspace, name)), `${name} not to be made`, { start, patch });
    }
    return `${JSON.stringify(start)}; patch: ${JSON.stringify(patch)}`;
  },
};

/** The scenarios. */
export const refusals: readonly Scenario[] = [pipes, sandbox];
