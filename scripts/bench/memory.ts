/** The memory of a server and its helpers. */
import { readdirSync, readFileSync } from "node:fs";
import { memoryOf } from "../../tests/harness/proc.ts";

/** The resident memory of a process and of all its descendants, in MiB. Pages that they share count for each. */
export function memoryOfAll(pid: number): number {
  const below = (parent: number): number[] => {
    const children = readdirSync(`/proc/${parent}/task`).flatMap((thread) =>
      readFileSync(`/proc/${parent}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number)
    );
    return [parent, ...children.flatMap(below)];
  };
  return below(pid).reduce((sum, each) => sum + memoryOf(each), 0);
}
