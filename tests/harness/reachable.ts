/** The program under test for other users: a checkout may lie in a home that is closed to them, such as /root. */
import { chmodSync, copyFileSync, lstatSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { programUnderTest } from "./program.ts";
import { tempDirIn } from "./temp.ts";

let program: string | undefined;

/** The compiled program where every user can start it: a copy where it lies in somebody's private folder. */
export function reachableProgram(): string {
  return program ??= findOrCopy(resolve(programUnderTest()[0]));
}

function findOrCopy(file: string): string {
  for (let path = dirname(file); path !== "/"; path = dirname(path)) {
    if ((lstatSync(path).mode & 0o001) !== 0) continue;
    const folder = tempDirIn("/var/tmp");
    chmodSync(folder, 0o755);
    const copy = join(folder, "exec-server");
    copyFileSync(file, copy);
    chmodSync(copy, 0o755);
    return copy;
  }
  return file;
}
