// Which processes are file helpers.
import { readdirSync, readFileSync } from "node:fs";

/** Processes below these ones that are file helpers, inside their sandboxes. */
export function fileHelpersOf(...owners: readonly (number | undefined)[]): number[] {
  const parents = new Map<number, number>();
  const found: number[] = [];
  for (const name of readdirSync("/proc").filter((one) => /^\d+$/.test(one))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z") continue;
      parents.set(Number(name), Number(parent));
      const argv = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      if (argv[1] === "fs-helper") found.push(Number(name));
    } catch {
      // ended while we looked
    }
  }
  const isOurs = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (owners.includes(parent) || (parent > 1 && isOurs(parent)));
  };
  return found.filter(isOurs);
}
