/** What we, and so a program of ours in a sandbox, may do by the rights of the file system. */
import { accessSync, lstatSync } from "node:fs";
import process from "node:process";
import type { NativePath } from "../files/native_path.ts";

/**
 * Whether we may use a folder in some way, or allow it to ourselves because it is ours.
 * @param mode `W_OK` or `X_OK` of `node:fs`
 */
export function isOpenToUs(folder: NativePath, mode: number): boolean {
  try {
    accessSync(folder, mode);
    return true;
  } catch {
    return ownerOf(folder) === process.geteuid?.();
  }
}

function ownerOf(path: NativePath): number | undefined {
  try {
    return lstatSync(path).uid;
  } catch {
    return undefined;
  }
}
