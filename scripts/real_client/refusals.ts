/** Scenarios of what is refused, by the server or by its sandbox: the model is told so, and the client goes on. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { command, expect, outputAt, type Scenario } from "./scenario.ts";

/** Outside of the workspace and of the temporary folders, which the client lets its commands write to. */
const OUTSIDE = "/usr/exec-server-made";

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
  name: "a command in the client's sandbox",
  sandboxed: true,
  calls: [
    command("touch made.txt && echo made"),
    command(`touch ${OUTSIDE} ; touch .git/made; echo code $?`),
  ],
  prepare: (workspace) => mkdirSync(join(workspace, ".git")),
  check(evidence) {
    const [inside, outside] = [outputAt(evidence, 0), outputAt(evidence, 1)];
    expect(/^made$/m.test(inside), "made.txt to be made", inside);
    expect(existsSync(join(evidence.workspace, "made.txt")), "made.txt on disk", inside);
    expect((outside.match(/Read-only file system/g) ?? []).length === 2, "two refusals", outside);
    expect(!existsSync(OUTSIDE), `no ${OUTSIDE}`, outside);
    expect(readdirSync(join(evidence.workspace, ".git")).length === 0, "nothing in .git", outside);
    return "the workspace is writable, .git and the rest are not";
  },
};

const patch: Scenario = {
  name: "a patch in the client's sandbox",
  sandboxed: true,
  calls: [
    { tool: "apply_patch", patch: "*** Begin Patch\n*** Add File: sub/patched.txt\n+x\n*** End Patch\n" },
  ],
  check(evidence) {
    const told = outputAt(evidence, 0);
    const file = join(evidence.workspace, "sub/patched.txt");
    expect(existsSync(file) && readFileSync(file, "utf8") === "x\n", "the file to be made", told);
    return "made";
  },
};

/** The scenarios. */
export const refusals: readonly Scenario[] = [pipes, sandbox, patch];
