/** Scenarios of `apply_patch`. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ToolCall } from "./model.ts";
import { command, expect, outputAt, type Scenario } from "./scenario.ts";

const PATCH = `*** Begin Patch
*** Add File: new/deep/added.txt
+first
+second
*** Update File: changed.txt
@@
 one
-two
+zwei
 three
*** Delete File: deleted.txt
*** End Patch
`;

const patch = (text: string): ToolCall => ({ tool: "apply_patch", patch: text });

const threeKinds: Scenario = {
  name: "a patch adds, updates, deletes",
  calls: [patch(PATCH)],
  prepare(workspace) {
    writeFileSync(join(workspace, "changed.txt"), "one\ntwo\nthree\n");
    writeFileSync(join(workspace, "deleted.txt"), "away\n");
  },
  check(evidence) {
    const output = outputAt(evidence, 0);
    const added = read(evidence.workspace, "new/deep/added.txt");
    const changed = read(evidence.workspace, "changed.txt");
    expect(added === "first\nsecond\n", "the new file", { added, output });
    expect(changed === "one\nzwei\nthree\n", "the changed file", { changed, output });
    expect(!existsSync(join(evidence.workspace, "deleted.txt")), "the file to be deleted", output);
    for (const line of ["A new/deep/added.txt", "M changed.txt", "D deleted.txt"]) {
      expect(output.includes(line), `"${line}" for the model`, output);
    }
    return "A, M, D";
  },
};

const refused: Scenario = {
  name: "a patch that does not fit",
  calls: [
    patch("*** Begin Patch\n*** Update File: absent.txt\n@@\n-a\n+b\n*** End Patch\n"),
    patch("*** Begin Patch\n*** Update File: changed.txt\n@@\n-other\n+text\n*** End Patch\n"),
    command("apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: by_shell.txt\n+shell\n*** End Patch\nEOF\n"),
  ],
  prepare: (workspace) => writeFileSync(join(workspace, "changed.txt"), "one\n"),
  check(evidence) {
    const [absent, other] = [outputAt(evidence, 0), outputAt(evidence, 1)];
    expect(
      /absent\.txt/.test(absent) && /No such file|not found/i.test(absent),
      "a missing file named",
      absent,
    );
    expect(/Failed to find expected lines/.test(other), "the lines not to be found", other);
    expect(read(evidence.workspace, "changed.txt") === "one\n", "the file to be as it was", other);
    const byShell = read(evidence.workspace, "by_shell.txt");
    expect(byShell === "shell\n", "the patch after them to be made", {
      byShell,
      said: outputAt(evidence, 2),
    });
    return "both refused with the reason, the next one made";
  },
};

/** The scenarios. */
export const patches: readonly Scenario[] = [threeKinds, refused];

function read(workspace: string, name: string): string | undefined {
  const path = join(workspace, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}
